"""The file system as a port. Small files are read and written whole; writes are atomic and durable."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from typing import Literal, Protocol

FileKind = Literal["file", "directory", "link", "other"]
"""What is at a path; `other` is a device, a socket or a pipe."""


class Files(Protocol):
    """What drivers and daemons do with files of their host. All paths are absolute.

    Methods raise the `OSError` family as the operating system does; callers turn what an operator can mend into
    `Failed`. The calls are short and are made from the event loop.
    """

    def read(self, path: str) -> bytes:
        """The whole content. `FileNotFoundError` when it is not there."""
        ...

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Replace the file at once and durably (temporary file, fsync, rename, fsync of the directory)."""
        ...

    def append(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Add to the end, creating the file. Not durable: a power failure may take what was added last."""
        ...

    def exists(self, path: str) -> bool:
        """Whether anything is at `path` (links are followed)."""
        ...

    def kind(self, path: str) -> FileKind | None:
        """What is at `path` itself (a link is not followed), or None when nothing is."""
        ...

    def real_path(self, path: str) -> str:
        """Where `path` really leads: links resolved, parts that are not there yet taken as they stand."""
        ...

    def is_executable(self, path: str) -> bool:
        """Whether `path` is a regular file that may be executed."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """The sorted names in a directory; empty when the directory is not there."""
        ...

    def make_dirs(self, path: str, *, mode: int = 0o750) -> None:
        """Create a directory and its parents, durably; fine when it is there. `mode` is that of the last one."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or link; fine when it is not there. Not durable: after a power failure it may be back."""
        ...

    def remove_dir(self, path: str) -> None:
        """Remove an empty directory; fine when it is not there. `OSError` when it is not empty."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Move within one file system, at once and durably, replacing a file that is at `new`."""
        ...

    def symlink(self, target: str, path: str) -> None:
        """Make `path` a link to `target`, replacing a link or file that is there."""
        ...

    def allocate(self, path: str, size_bytes: int, *, sparse: bool = True) -> None:
        """Create a new file of that size that reads as zeros, durably. `FileExistsError` when the path is taken.

        `OSError` (ENOSPC) when it cannot fit; then nothing is left behind. Not atomic: a crash in the middle may leave
        a shorter file, so whoever cares makes it under another name and renames it. A sparse file takes room only
        when it is written to: whoever promises room asks `space_bytes` first.
        """
        ...

    def grow(self, path: str, size_bytes: int) -> None:
        """Make a file that large, durably; never smaller."""
        ...

    def size_bytes(self, path: str) -> int:
        """The length of a file or block device."""
        ...

    def used_bytes(self, path: str) -> int:
        """What a file really takes on disk."""
        ...

    def space_bytes(self, directory: str) -> tuple[int, int]:
        """(total, free) of the file system that holds the directory (or its nearest existing parent)."""
        ...


class SystemFiles:
    """The files of this machine."""

    def read(self, path: str) -> bytes:
        """See `Files.read`."""
        with open(path, "rb") as file:
            return file.read()

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """See `Files.write`."""
        directory = os.path.dirname(path)
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
        try:
            with open(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync_dir(directory)

    def append(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """See `Files.append`."""
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
        try:
            left = memoryview(data)
            while left:  # without a file object: that would seek, which files of the kernel (cgroups) refuse
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return os.path.exists(path)

    def kind(self, path: str) -> FileKind | None:
        """See `Files.kind`."""
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return None
            raise
        if stat.S_ISREG(mode):
            return "file"
        if stat.S_ISDIR(mode):
            return "directory"
        return "link" if stat.S_ISLNK(mode) else "other"

    def real_path(self, path: str) -> str:
        """See `Files.real_path`."""
        return os.path.realpath(path)

    def is_executable(self, path: str) -> bool:
        """See `Files.is_executable`."""
        return os.path.isfile(path) and os.access(path, os.X_OK)

    def list_dir(self, path: str) -> list[str]:
        """See `Files.list_dir`."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def make_dirs(self, path: str, *, mode: int = 0o750) -> None:
        """See `Files.make_dirs`."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path.rstrip("/"))
        if not os.path.isdir(parent):
            self.make_dirs(parent, mode=0o755)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        _sync_dir(parent)

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def remove_dir(self, path: str) -> None:
        """See `Files.remove_dir`."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return

    def rename(self, old: str, new: str) -> None:
        """See `Files.rename`."""
        os.rename(old, new)
        _sync_dir(os.path.dirname(new))
        if os.path.dirname(old) != os.path.dirname(new):
            _sync_dir(os.path.dirname(old))

    def symlink(self, target: str, path: str) -> None:
        """See `Files.symlink`."""
        temporary = f"{path}.new"
        self.remove(temporary)
        os.symlink(target, temporary)
        try:
            os.rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise

    def allocate(self, path: str, size_bytes: int, *, sparse: bool = True) -> None:
        """See `Files.allocate`."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if sparse:
                os.ftruncate(handle, size_bytes)
            else:
                os.posix_fallocate(handle, 0, size_bytes)
            os.fsync(handle)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(handle)
        _sync_dir(os.path.dirname(path))

    def grow(self, path: str, size_bytes: int) -> None:
        """See `Files.grow`."""
        with open(path, "r+b") as file:
            if size_bytes > os.fstat(file.fileno()).st_size:
                file.truncate(size_bytes)
            os.fsync(file.fileno())

    def size_bytes(self, path: str) -> int:
        """See `Files.size_bytes`."""
        with open(path, "rb") as file:
            return file.seek(0, os.SEEK_END)

    def used_bytes(self, path: str) -> int:
        """See `Files.used_bytes`."""
        return os.stat(path).st_blocks * 512

    def space_bytes(self, directory: str) -> tuple[int, int]:
        """See `Files.space_bytes`."""
        while directory and not os.path.exists(directory):
            directory = os.path.dirname(directory)
        usage = shutil.disk_usage(directory)
        return usage.total, usage.free


def _sync_dir(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without a disk below it (cgroups) has nothing to sync
            raise
    finally:
        os.close(handle)

"""The file system of a simulated host: in memory, of a limited size, with faults on request.

It behaves as `ganeti.base.files.SystemFiles` does (one conformance suite runs on both), except that it is stricter
about room: a sparse file is charged with its whole length at once, so that a simulated host can be full. Free
space is the capacity minus the lengths of all files.

One object is one host's disk and outlives its daemons: a daemon that crashes finds everything as it was.
`lose_power` is the harder case.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from ganeti.base.files import FileKind

VOLATILE = ("/dev/shm", "/run", "/tmp", "/var/run")
"""Directories that are empty after a reboot."""

_LINKS_MAX = 40


@dataclass
class _File:
    data: bytes = b""
    length: int = 0
    mode: int = 0o600
    unsynced: int = 0
    """How many bytes at the end would be gone after a power failure."""


@dataclass
class _Link:
    target: str


@dataclass
class _Directory:
    entries: dict[str, _File | _Link | _Directory] = field(default_factory=dict)


_Node = _File | _Link | _Directory


@dataclass
class _Fault:
    number: int
    method: str | None
    path: str | None


class MemoryFiles:
    """`Files` in memory. `capacity_bytes` is the size of the one file system there is."""

    def __init__(self, *, capacity_bytes: int = 1 << 40) -> None:
        self._capacity_bytes = capacity_bytes
        self._root = _Directory()
        self._faults: list[_Fault] = []

    # What the simulation does to a host

    def fail_next(self, number: int, *, method: str | None = None, path: str | None = None) -> None:
        """Let the next call fail with this errno: the next at all, of a method, or on a path below `path`.

        Calls that report no errors by their nature (`exists`, `kind`, `real_path`, `is_executable`) never fail.
        """
        self._faults.append(_Fault(number, method, path))

    def forget_faults(self) -> None:
        """No call fails any more by `fail_next`."""
        self._faults.clear()

    def lose_power(self) -> None:
        """What is left after a power failure: nothing in `VOLATILE`, nothing that was only appended."""
        for path in VOLATILE:
            node = self._lookup(path)
            if isinstance(node, _Directory):
                node.entries.clear()
        for file in _files_below(self._root):
            if file.unsynced:
                file.length -= file.unsynced
                file.data = file.data[: file.length]
                file.unsynced = 0

    def everything(self, below: str = "/") -> list[str]:
        """The sorted paths of all files, links and directories below a directory; for checkers."""
        node = self._lookup(below)
        return sorted(_paths_below(node, below.rstrip("/"))) if isinstance(node, _Directory) else []

    # The port

    def read(self, path: str) -> bytes:
        """See `Files.read`."""
        file = self._file("read", path)
        return file.data + bytes(file.length - len(file.data))

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """See `Files.write`. As with the real one the old content keeps its room until the new one is there."""
        self._check_fault("write", path)
        directory, name = self._parent(path)
        self._need(len(data), path)
        if isinstance(directory.entries.get(name), _Directory):
            raise _error(errno.EISDIR, path)
        directory.entries[name] = _File(bytes(data), len(data), mode)

    def append(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """See `Files.append`."""
        self._check_fault("append", path)
        directory, name = self._parent(self._resolved(path))
        file = directory.entries.get(name)
        if isinstance(file, _Directory):
            raise _error(errno.EISDIR, path)
        self._need(len(data), path)
        if not isinstance(file, _File):
            file = directory.entries[name] = _File(mode=mode)
        file.data += bytes(file.length - len(file.data)) + data
        file.length = len(file.data)
        file.unsynced += len(data)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return self._lookup(path) is not None

    def kind(self, path: str) -> FileKind | None:
        """See `Files.kind`."""
        match self._lookup(path, follow=False):
            case None:
                return None
            case _File():
                return "file"
            case _Link():
                return "link"
            case _Directory():
                return "directory"

    def real_path(self, path: str) -> str:
        """See `Files.real_path`."""
        return self._walk(path, follow=True).path

    def is_executable(self, path: str) -> bool:
        """See `Files.is_executable`."""
        node = self._lookup(path)
        return isinstance(node, _File) and bool(node.mode & 0o111)

    def list_dir(self, path: str) -> list[str]:
        """See `Files.list_dir`."""
        self._check_fault("list_dir", path)
        try:
            node = self._at(path)
        except FileNotFoundError:
            return []
        if not isinstance(node, _Directory):
            raise _error(errno.ENOTDIR, path)
        return sorted(node.entries)

    def make_dirs(self, path: str, *, mode: int = 0o750) -> None:
        """See `Files.make_dirs`."""
        self._check_fault("make_dirs", path)
        if isinstance(self._lookup(path), _Directory):
            return
        above = path.rstrip("/").rpartition("/")[0]
        if not isinstance(self._lookup(above or "/"), _Directory):
            self.make_dirs(above, mode=0o755)
        directory, name = self._parent(path)
        if name in directory.entries:
            raise _error(errno.EEXIST, path)
        directory.entries[name] = _Directory()

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        self._check_fault("remove", path)
        try:
            node = self._at(path, follow=False)
        except FileNotFoundError:
            return
        if isinstance(node, _Directory):
            raise _error(errno.EISDIR, path)
        directory, name = self._parent(path)
        del directory.entries[name]

    def remove_dir(self, path: str) -> None:
        """See `Files.remove_dir`."""
        self._check_fault("remove_dir", path)
        try:
            node = self._at(path, follow=False)
        except FileNotFoundError:
            return
        if not isinstance(node, _Directory):
            raise _error(errno.ENOTDIR, path)
        if node.entries:
            raise _error(errno.ENOTEMPTY, path)
        directory, name = self._parent(path)
        del directory.entries[name]

    def rename(self, old: str, new: str) -> None:
        """See `Files.rename`."""
        self._check_fault("rename", old)
        source, source_name = self._parent(old)
        target, target_name = self._parent(new)
        node, there = source.entries.get(source_name), target.entries.get(target_name)
        if node is None:
            raise _error(errno.ENOENT, old)
        if any(node is above for above in self._above(new)):
            raise _error(errno.EINVAL, new)
        if any(there is above for above in self._above(old)):
            raise _error(errno.ENOTEMPTY, new)
        if there is node:
            return
        if isinstance(node, _Directory) and there is not None and not isinstance(there, _Directory):
            raise _error(errno.ENOTDIR, new)
        if isinstance(there, _Directory) and not isinstance(node, _Directory):
            raise _error(errno.EISDIR, new)
        if isinstance(there, _Directory) and there.entries:
            raise _error(errno.ENOTEMPTY, new)
        del source.entries[source_name]
        target.entries[target_name] = node

    def symlink(self, target: str, path: str) -> None:
        """See `Files.symlink`."""
        self._check_fault("symlink", path)
        directory, name = self._parent(path)
        if isinstance(directory.entries.get(name), _Directory):
            raise _error(errno.EISDIR, path)
        directory.entries[name] = _Link(target)

    def allocate(self, path: str, size_bytes: int, *, sparse: bool = True) -> None:
        """See `Files.allocate`."""
        self._check_fault("allocate", path)
        directory, name = self._parent(path)
        if name in directory.entries:
            raise _error(errno.EEXIST, path)
        if size_bytes < 0:
            raise _error(errno.EINVAL, path)
        self._need(size_bytes, path)
        directory.entries[name] = _File(length=size_bytes)

    def grow(self, path: str, size_bytes: int) -> None:
        """See `Files.grow`."""
        file = self._file("grow", path)
        if size_bytes > file.length:
            self._need(size_bytes - file.length, path)
            file.length = size_bytes
        file.unsynced = 0

    def size_bytes(self, path: str) -> int:
        """See `Files.size_bytes`."""
        return self._file("size_bytes", path).length

    def used_bytes(self, path: str) -> int:
        """See `Files.used_bytes`: what was really written, whatever is charged."""
        return len(self._file("used_bytes", path).data)

    def space_bytes(self, directory: str) -> tuple[int, int]:
        """See `Files.space_bytes`."""
        self._check_fault("space_bytes", directory)
        used = sum(file.length for file in _files_below(self._root))
        return self._capacity_bytes, self._capacity_bytes - used

    # Inside

    def _check_fault(self, method: str, path: str) -> None:
        for fault in self._faults:
            below = fault.path is None or path == fault.path or path.startswith(fault.path.rstrip("/") + "/")
            if below and fault.method in {None, method}:
                self._faults.remove(fault)
                raise _error(fault.number, path)

    def _need(self, count_bytes: int, path: str) -> None:
        used = sum(file.length for file in _files_below(self._root))
        if used + count_bytes > self._capacity_bytes:
            raise _error(errno.ENOSPC, path)

    def _file(self, method: str, path: str) -> _File:
        self._check_fault(method, path)
        node = self._at(path)
        if not isinstance(node, _File):
            raise _error(errno.EISDIR, path)
        return node

    def _parent(self, path: str) -> tuple[_Directory, str]:
        """The directory that a path is in, and its name there."""
        head, _, name = path.rstrip("/").rpartition("/")
        node = self._at(head or "/")
        if not isinstance(node, _Directory):
            raise _error(errno.ENOTDIR, path)
        return node, name

    def _above(self, path: str) -> list[_Node]:
        """The directories that a path goes through."""
        return self._walk(path.rstrip("/").rpartition("/")[0] or "/", follow=True).nodes

    def _lookup(self, path: str, *, follow: bool = True) -> _Node | None:
        try:
            return self._at(path, follow=follow)
        except OSError:
            return None

    def _at(self, path: str, *, follow: bool = True) -> _Node:
        way = self._walk(path, follow=follow)
        if way.trouble:
            raise _error(way.trouble, path)
        return way.nodes[-1]

    def _resolved(self, path: str) -> str:
        """The path without links; what it leads to need not be there, the directory above must."""
        way = self._walk(path, follow=True)
        if way.trouble not in {0, errno.ENOENT}:
            raise _error(way.trouble, path)
        return way.path

    def _walk(self, path: str, *, follow: bool) -> _Way:
        """Go along a path; `follow` says whether its last part is followed, too, if it is a link."""
        if not path.startswith("/"):
            raise ValueError(f"{path} is not an absolute path")
        todo, names, way, links = _parts(path), list[str](), _Way([self._root]), 0
        while todo:
            part = todo.pop(0)
            here = way.nodes[-1] if len(way.nodes) == len(names) + 1 else None
            if here is not None and not isinstance(here, _Directory):
                way.trouble = way.trouble or errno.ENOTDIR
            if part == "..":
                del names[-1:], way.nodes[max(1, len(names) + 1) :]
                continue
            node = here.entries.get(part) if isinstance(here, _Directory) else None
            if isinstance(node, _Link) and (todo or follow):
                links += 1
                if links > _LINKS_MAX:
                    return _Way([self._root], path, errno.ELOOP)
                if node.target.startswith("/"):
                    del names[:], way.nodes[1:]
                todo = _parts(node.target) + todo
                continue
            if node is not None:
                way.nodes.append(node)
            else:
                way.trouble = way.trouble or errno.ENOENT
            names.append(part)
        way.path = "/" + "/".join(names)
        return way


@dataclass
class _Way:
    """Where a path leads: what is there, from the root to the end; `trouble` is the errno of what is not."""

    nodes: list[_Node]
    path: str = "/"
    trouble: int = 0


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _files_below(directory: _Directory) -> Iterator[_File]:
    for node in directory.entries.values():
        if isinstance(node, _File):
            yield node
        elif isinstance(node, _Directory):
            yield from _files_below(node)


def _paths_below(directory: _Directory, path: str) -> Iterator[str]:
    for name, node in directory.entries.items():
        yield f"{path}/{name}"
        if isinstance(node, _Directory):
            yield from _paths_below(node, f"{path}/{name}")

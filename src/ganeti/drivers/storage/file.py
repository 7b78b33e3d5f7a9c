"""Disks in files of the node's own file system: template `file`. `sharedfile` is the same on a shared one.

A disk is one sparse file `DIRECTORY/INSTANCE/UUID.TEMPLATE.diskN`, DIRECTORY being the cluster's storage directory or
one below it. Its logical id is `(driver, path)`, driver `loop` or `blktap`. A disk comes into being by a rename, so a
crash leaves either a whole disk or a remainder that the next `create` or `remove` of the same disk takes away.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import msgspec

from ganeti.base.errors import NO_RESOURCES, WRONG_INPUT, Failed, Refused
from ganeti.base.files import Files
from ganeti.contract.guest import AttachedDisk
from ganeti.contract.storage import DiskFound, DiskPlace, Owner, Space
from ganeti.drivers.storage import allowed
from ganeti.model.objects import Cluster, Disk
from ganeti.model.params import is_normal_absolute
from ganeti.model.traits import StorageTraits

TRAITS: Final = StorageTraits(
    template="file", storage_type="file", mirrored="none", growable=True, file_based=True, copyable=True
)

MIB: Final = 1024 * 1024
DRIVERS: Final = ("loop", "blktap")
_UNFINISHED: Final = ".unfinished"
_DEPTH_MAX: Final = 8
"""How far below its location a disk is looked for."""


class FileAddressing:
    """Where the files of a template go. `base` reads the template's directory off the cluster."""

    def __init__(self, template: str, base: Callable[[Cluster], str]) -> None:
        self._template = template
        self._base = base

    def logical_id(self, place: DiskPlace) -> tuple[Any, ...]:
        """See `Addressing.logical_id`. `file_storage_dir` is relative to the cluster's directory."""
        if place.adopt is not None:
            raise Refused(WRONG_INPUT, f"disk template {self._template} cannot adopt existing data", adopt=place.adopt)
        if place.file_driver not in DRIVERS:
            raise Refused(
                WRONG_INPUT,
                f"there is no file driver '{place.file_driver}'; there is {', '.join(DRIVERS)}",
                file_driver=place.file_driver,
            )
        directory = self._base(place.cluster)
        if place.file_storage_dir is not None:
            custom = place.file_storage_dir
            if not is_normal_absolute(f"/{custom}"):
                raise Refused(
                    WRONG_INPUT,
                    f"'{custom}' is not a directory for disks: it is relative to {directory}, without '..'",
                    file_storage_dir=custom,
                )
            directory = f"{directory}/{custom}"
        name = f"{place.disk_uuid}.{self._template}.disk{place.index}"
        path = f"{directory}/{place.instance_name}/{name}"
        if not is_normal_absolute(path) or "/" in place.instance_name + place.disk_uuid:
            raise Refused(WRONG_INPUT, f"'{path}' cannot be the file of a disk", path=path)
        return (place.file_driver, path)

    def renamed(self, disk: Disk, old_name: str, new_name: str) -> Disk:
        """See `Addressing.renamed`."""
        driver, path = disk.logical_id
        directory, file_name = os.path.split(path)
        parent, name = os.path.split(directory)
        if name != old_name:
            return disk
        return msgspec.structs.replace(disk, logical_id=(driver, f"{parent}/{new_name}/{file_name}"))

    def location(self, cluster: Cluster) -> str:
        """See `Addressing.location`."""
        return self._base(cluster)


ADDRESSING: Final = FileAddressing("file", lambda cluster: cluster.file_storage_dir)


class Driver:
    """`contract.storage.Storage` for disks in files. `allowed_dirs` is asked anew for each call."""

    traits: ClassVar[StorageTraits] = TRAITS

    def __init__(self, *, files: Files, allowed_dirs: Callable[[], Sequence[str]]) -> None:
        self._files = files
        self._allowed_dirs = allowed_dirs
        template = re.escape(self.traits.template)
        self._name = re.compile(rf"[0-9a-f]{{8}}-[0-9a-f-]{{27}}\.{template}\.disk[0-9]+")

    async def create(self, disk: Disk, owner: Owner) -> None:
        """See `Storage.create`. Refuses a size above the free space although the file is sparse."""
        path = self._path(disk)
        want_bytes = disk.size * MIB
        if disk.size < 1:
            raise Failed(f"a disk of {disk.size} MiB cannot be made", path=path)
        with _told(f"create disk {path}", path=path):
            self._files.remove(path + _UNFINISHED)
            if self._files.exists(path):
                self._expect_size(path, want_bytes)
                return
            directory = os.path.dirname(path)
            self._need_room(directory, want_bytes, path)
            try:
                self._files.make_dirs(directory)
                self._files.allocate(path + _UNFINISHED, want_bytes)
                self._files.rename(path + _UNFINISHED, path)
            except OSError:
                self._files.remove(path + _UNFINISHED)
                self._leave(directory)
                raise

    async def remove(self, disk: Disk) -> None:
        """See `Storage.remove`. The instance's directory goes with its last disk."""
        path = self._path(disk)
        with _told(f"remove disk {path}", path=path):
            if not self._files.exists(os.path.dirname(path)):
                return
            self._files.remove(path + _UNFINISHED)
            self._files.remove(path)
            self._leave(os.path.dirname(path))

    async def assemble(self, disk: Disk, owner: Owner) -> AttachedDisk:
        """See `Storage.assemble`. A file is accessible as it is."""
        path = self._existing(disk)
        return AttachedDisk(disk=disk, index=owner.index, path=path)

    async def shutdown(self, disk: Disk) -> None:
        """See `Storage.shutdown`: nothing was done, so nothing is undone."""
        self._path(disk)

    async def grow(self, disk: Disk, size_mib: int) -> None:
        """See `Storage.grow`."""
        path = self._existing(disk)
        with _told(f"grow disk {path} to {size_mib} MiB", path=path):
            more_bytes = size_mib * MIB - self._files.size_bytes(path)
            if more_bytes <= 0:
                return
            self._need_room(os.path.dirname(path), more_bytes, path)
            self._files.grow(path, size_mib * MIB)

    async def rename(self, disk: Disk, renamed: Disk) -> None:
        """See `Storage.rename`. Never overwrites: with data at both addresses it fails."""
        old, new = self._path(disk), self._path(renamed)
        with _told(f"move disk {old} to {new}", path=old):
            old_there, new_there = self._files.exists(old), self._files.exists(new)
            if not old_there and not new_there:
                raise Failed(f"cannot move disk {old} to {new}: neither of them exists", path=old)
            if old == new:
                return
            if old_there and new_there:
                raise Failed(f"cannot move disk {old} to {new}: there is a disk already", path=old)
            if old_there:
                self._files.make_dirs(os.path.dirname(new))
                try:
                    self._files.rename(old, new)
                except OSError:
                    self._leave(os.path.dirname(new))
                    raise
            self._leave(os.path.dirname(old))

    async def size_mib(self, disk: Disk) -> int | None:
        """See `Storage.size_mib`; parts of a MiB do not count."""
        path = self._path(disk)
        with _told(f"measure disk {path}", path=path):
            return self._files.size_bytes(path) // MIB if self._files.exists(path) else None

    async def list(self, location: str) -> Sequence[DiskFound]:
        """See `Storage.list`. The driver in an address is always `loop`: a file does not tell."""
        with _told(f"look for disks in {location}", path=location):
            return list(self._found(location.rstrip("/"), _DEPTH_MAX))

    async def space(self, location: str) -> Space:
        """See `Storage.space`."""
        with _told(f"measure {location}", path=location):
            total_bytes, free_bytes = self._files.space_bytes(location)
        return Space(
            storage_type=self.traits.storage_type,
            name=location,
            total_mib=total_bytes // MIB,
            free_mib=free_bytes // MIB,
        )

    async def check(self, location: str) -> Sequence[str]:
        """See `Storage.check`. A directory that is not there yet is fine: the first disk makes it."""
        return allowed.objections(self._files, location, self._allowed_dirs())

    def _path(self, disk: Disk) -> str:
        match disk.logical_id:
            case (str(), str(path)):
                allowed.check(self._files, path, self._allowed_dirs())
                return path
        raise Failed(f"disk {disk.uuid} has no file but {list(disk.logical_id)}", disk=disk.uuid)

    def _existing(self, disk: Disk) -> str:
        path = self._path(disk)
        if not self._files.exists(path):
            raise Failed(f"disk {path} does not exist", path=path)
        return path

    def _expect_size(self, path: str, want_bytes: int) -> None:
        have_bytes = self._files.size_bytes(path)
        if have_bytes != want_bytes:
            raise Failed(
                f"cannot create disk {path}: there is one already, of {_mib(have_bytes)} MiB instead of "
                f"{_mib(want_bytes)} MiB; it belongs to somebody else, so look at it before you remove it",
                path=path,
                have_bytes=have_bytes,
                want_bytes=want_bytes,
            )

    def _need_room(self, directory: str, need_bytes: int, path: str) -> None:
        _, free_bytes = self._files.space_bytes(directory)
        if need_bytes > free_bytes:
            raise Failed(
                f"no room for disk {path}: it needs {_mib(need_bytes)} MiB and {directory} has "
                f"{free_bytes // MIB} MiB free; choose a smaller size or another node, or make room",
                path=path,
                need_mib=-(-need_bytes // MIB),
                free_mib=free_bytes // MIB,
                code=NO_RESOURCES,
            )

    def _leave(self, directory: str) -> None:
        """Remove an instance's directory unless something is in it, or it is an allowed directory itself."""
        real = self._files.real_path(directory)
        if any(real == self._files.real_path(path) for path in self._allowed_dirs()):
            return
        try:
            self._files.remove_dir(directory)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise

    def _found(self, directory: str, depth: int) -> Iterator[DiskFound]:
        for name in self._files.list_dir(directory):
            path = f"{directory}/{name}"
            kind = self._files.kind(path)
            if kind == "directory" and depth > 0:
                yield from self._found(path, depth - 1)
            elif kind == "file" and self._name.fullmatch(name):
                yield DiskFound(
                    template=self.traits.template,
                    address=(DRIVERS[0], path),
                    size_mib=self._files.size_bytes(path) // MIB,
                    instance_name=os.path.basename(directory),
                )


@contextmanager
def _told(deed: str, **facts: object) -> Iterator[None]:
    """Turn what the operating system says into `Failed`."""
    try:
        yield
    except OSError as error:
        raise Failed(f"cannot {deed}: {error.strerror}", errno=error.errno, **facts) from error


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.10g}"

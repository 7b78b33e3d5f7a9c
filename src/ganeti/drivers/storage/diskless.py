"""Instances without disks: template `diskless`. There is no data, so whoever asks for some is told so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.base.files import Files
from ganeti.contract.guest import AttachedDisk
from ganeti.contract.storage import DiskFound, DiskPlace, Owner, Space
from ganeti.model.objects import Cluster, Disk
from ganeti.model.traits import StorageTraits

TRAITS: Final = StorageTraits(
    template="diskless", storage_type="diskless", mirrored="external", has_disks=False, growable=False
)


class DisklessAddressing:
    """`contract.storage.Addressing` for nothing."""

    def logical_id(self, place: DiskPlace) -> tuple[Any, ...]:
        """See `Addressing.logical_id`."""
        raise Refused(
            WRONG_INPUT,
            f"instance {place.instance_name} is diskless and can have no disk; choose another disk template",
            disk_template="diskless",
        )

    def renamed(self, disk: Disk, old_name: str, new_name: str) -> Disk:
        """See `Addressing.renamed`."""
        return disk

    def location(self, cluster: Cluster) -> str:
        """See `Addressing.location`."""
        return ""


ADDRESSING: Final = DisklessAddressing()


class Driver:
    """`contract.storage.Storage` for nothing. Takes what the other drivers take."""

    def __init__(self, *, files: Files | None = None, allowed_dirs: Callable[[], Sequence[str]] | None = None) -> None:
        pass

    async def create(self, disk: Disk, owner: Owner) -> None:
        """See `Storage.create`."""
        _no_data(disk)

    async def remove(self, disk: Disk) -> None:
        """See `Storage.remove`: it does not exist."""

    async def assemble(self, disk: Disk, owner: Owner) -> AttachedDisk:
        """See `Storage.assemble`."""
        _no_data(disk)

    async def shutdown(self, disk: Disk) -> None:
        """See `Storage.shutdown`."""

    async def grow(self, disk: Disk, size_mib: int) -> None:
        """See `Storage.grow`."""
        _no_data(disk)

    async def rename(self, disk: Disk, renamed: Disk) -> None:
        """See `Storage.rename`."""
        _no_data(disk)

    async def size_mib(self, disk: Disk) -> int | None:
        """See `Storage.size_mib`."""
        return None

    async def list(self, location: str) -> Sequence[DiskFound]:
        """See `Storage.list`."""
        return []

    async def space(self, location: str) -> Space:
        """See `Storage.space`."""
        return Space(storage_type=TRAITS.storage_type, name=location, total_mib=0, free_mib=0)

    async def check(self, location: str) -> Sequence[str]:
        """See `Storage.check`."""
        return []


def _no_data(disk: Disk) -> NoReturn:
    raise Failed(f"disk {disk.uuid} is of template diskless, which has no data", disk=disk.uuid)

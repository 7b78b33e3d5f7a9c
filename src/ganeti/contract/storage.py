"""The port of storage drivers: the half that lives on nodes, and the pure half that the master asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from ganeti.contract.guest import AttachedDisk
from ganeti.model.objects import Cluster, Disk


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose disk it is: for names, labels and links."""

    instance_name: str
    instance_uuid: str
    index: int = 0


class DiskFound(msgspec.Struct, frozen=True, kw_only=True):
    """Data that exists on a node. `address` is comparable to `Disk.logical_id`; `instance_name` is a guess."""

    template: str
    address: tuple[Any, ...]
    size_mib: int
    instance_name: str | None = None


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """Room of a storage unit, in MiB."""

    storage_type: str
    name: str
    total_mib: int
    free_mib: int


class Storage(Protocol):
    """The disks of one template on this host. Repeating a call is harmless.

    Errors are `Failed` with the tool's own words; a full disk is `Failed` and leaves nothing behind.
    """

    async def create(self, disk: Disk, owner: Owner) -> None:
        """Make the data exist, reading as zeros; fine when it is there with the right size.

        `Failed` when it is there with another size: that is somebody else's.
        """
        ...

    async def remove(self, disk: Disk) -> None:
        """Make the data not exist; fine when it does not."""
        ...

    async def assemble(self, disk: Disk, owner: Owner) -> AttachedDisk:
        """Make the data accessible for a guest here, and say where. `Failed` when it is not there."""
        ...

    async def shutdown(self, disk: Disk) -> None:
        """Undo `assemble`."""
        ...

    async def grow(self, disk: Disk, size_mib: int) -> None:
        """Make it at least that large."""
        ...

    async def rename(self, disk: Disk, renamed: Disk) -> None:
        """Move the data from one logical id to another; fine when it has moved already."""
        ...

    async def size_mib(self, disk: Disk) -> int | None:
        """The real size, or None when there is no such data."""
        ...

    async def list(self, location: str) -> Sequence[DiskFound]:
        """Everything of this template below `location` (a directory, volume group or pool) on this host."""
        ...

    async def space(self, location: str) -> Space:
        """Room at `location`."""
        ...

    async def check(self, location: str) -> Sequence[str]:
        """What stands against using `location` here, as sentences."""
        ...


class DiskPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What the address of a new disk is made from."""

    cluster: Cluster
    instance_name: str
    disk_uuid: str
    index: int
    file_storage_dir: str | None = None
    file_driver: str = "loop"
    adopt: str | None = None


class Addressing(Protocol):
    """The pure half of a storage driver: where new data goes. Lives next to the driver, runs in the master."""

    def logical_id(self, place: DiskPlace) -> tuple[Any, ...]:
        """The logical id of a new disk (spec: interfaces, section 16). `Refused` when it cannot be made."""
        ...

    def renamed(self, disk: Disk, old_name: str, new_name: str) -> Disk:
        """The disk as it is after its instance was renamed; the same one when its address has no name in it."""
        ...

    def location(self, cluster: Cluster) -> str:
        """Where data of this template lives on a node: directory, volume group, pool; empty when nowhere."""
        ...

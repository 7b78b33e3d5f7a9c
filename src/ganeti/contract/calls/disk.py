"""Calls about disks."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.guest import AttachedDisk
from ganeti.contract.storage import Owner
from ganeti.model.objects import Disk


class DiskCreate(Call[None], frozen=True, kw_only=True, tag="disk.create"):
    """Make the data exist, reading as zeros; `wipe` overwrites what may shine through."""

    timeout_s: ClassVar[float] = 3600.0
    disk: Disk
    owner: Owner
    wipe: bool = False


class DiskRemove(Call[None], frozen=True, kw_only=True, tag="disk.remove"):
    """Make the data not exist."""

    timeout_s: ClassVar[float] = 900.0
    disk: Disk


class DiskAssemble(Call[AttachedDisk], frozen=True, kw_only=True, tag="disk.assemble"):
    """Make the data accessible here."""

    timeout_s: ClassVar[float] = 300.0
    disk: Disk
    owner: Owner


class DiskShutdown(Call[None], frozen=True, kw_only=True, tag="disk.shutdown"):
    """Undo DiskAssemble."""

    timeout_s: ClassVar[float] = 300.0
    disk: Disk


class DiskGrow(Call[None], frozen=True, kw_only=True, tag="disk.grow"):
    """Make the data at least that large."""

    timeout_s: ClassVar[float] = 900.0
    disk: Disk
    size_mib: int


class DiskRename(Call[None], frozen=True, kw_only=True, tag="disk.rename"):
    """Move the data to another address."""

    timeout_s: ClassVar[float] = 300.0
    disk: Disk
    renamed: Disk


class DiskSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Real sizes in MiB, in the order asked; None where there is no data."""

    sizes_mib: tuple[int | None, ...]


class DiskSizesGet(Call[DiskSizes], frozen=True, kw_only=True, tag="disk.sizes"):
    """How large are they really?"""

    only_reads: ClassVar[bool] = True
    disks: tuple[Disk, ...]


class DiskLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Disks that are accessible here, as `INSTANCE:INDEX`, whoever has made them so."""

    names: tuple[str, ...]


class DiskLinksGet(Call[DiskLinks], frozen=True, kw_only=True, tag="disk.links"):
    """Which disks are accessible? After a reboot none is, until it is assembled again."""

    only_reads: ClassVar[bool] = True

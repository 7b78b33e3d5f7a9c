"""Calls about disks, and the links by which guests and operators find them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

import msgspec

from ganeti.base.errors import GanetiError
from ganeti.base.log import Log
from ganeti.contract.calls.disk import (
    DiskAssemble,
    DiskCreate,
    DiskGrow,
    DiskLinks,
    DiskLinksGet,
    DiskRemove,
    DiskRename,
    DiskShutdown,
    DiskSizes,
    DiskSizesGet,
)
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.storage import Owner
from ganeti.model.objects import Disk
from ganeti.node.handlers import handles
from ganeti.node.host import Host

_log: Final = Log(__name__)

WIPE_WITHIN_S: Final = 3500.0


@handles(DiskCreate)
async def create(host: Host, call: DiskCreate) -> None:
    """A disk that could not be wiped is taken away again."""
    storage = host.storage(call.disk.dev_type)
    existed = await storage.size_mib(call.disk) is not None
    await storage.create(call.disk, call.owner)
    if not call.wipe or existed:
        return
    async with AsyncExitStack() as on_failure:
        on_failure.push_async_callback(storage.remove, call.disk)
        attached = await storage.assemble(call.disk, call.owner)
        try:
            await _write_zeros(host, attached.path, call.disk.size)
        finally:
            await storage.shutdown(call.disk)
        on_failure.pop_all()


@handles(DiskRemove)
async def remove(host: Host, call: DiskRemove) -> None:
    """Its link goes with it."""
    await host.storage(call.disk.dev_type).remove(call.disk)
    _drop_dangling_links(host)


@handles(DiskAssemble)
async def assemble(host: Host, call: DiskAssemble) -> AttachedDisk:
    """Also links it below the run directory."""
    return await assemble_one(host, call.disk, call.owner)


@handles(DiskShutdown)
async def shutdown(host: Host, call: DiskShutdown) -> None:
    """A link that leads nowhere afterwards is removed."""
    await host.storage(call.disk.dev_type).shutdown(call.disk)
    _drop_dangling_links(host)


@handles(DiskGrow)
async def grow(host: Host, call: DiskGrow) -> None:
    """The guest learns of it from its hypervisor, or at its next start."""
    await host.storage(call.disk.dev_type).grow(call.disk, call.size_mib)


@handles(DiskRename)
async def rename(host: Host, call: DiskRename) -> None:
    """The link under the old name is removed; starting the guest makes the new one."""
    await host.storage(call.disk.dev_type).rename(call.disk, call.renamed)
    _drop_dangling_links(host)


@handles(DiskSizesGet)
async def sizes(host: Host, call: DiskSizesGet) -> DiskSizes:
    """One after another: each is a quick look."""
    found = [await host.storage(disk.dev_type).size_mib(disk) for disk in call.disks]
    return DiskSizes(sizes_mib=tuple(found))


@handles(DiskLinksGet)
async def links(host: Host, call: DiskLinksGet) -> DiskLinks:
    """A link that leads nowhere does not count."""
    names = host.files.list_dir(_links(host))
    return DiskLinks(names=tuple(name for name in names if host.files.exists(f"{_links(host)}/{name}")))


async def assemble_all(host: Host, guest: Guest) -> list[AttachedDisk]:
    """Make all disks of a guest accessible; when one fails those before it are shut down again."""
    attached: list[AttachedDisk] = []
    async with AsyncExitStack() as on_failure:
        for index, disk in enumerate(guest.disks):
            on_failure.push_async_callback(host.storage(disk.dev_type).shutdown, disk)
            owner = Owner(instance_name=guest.name, instance_uuid=guest.uuid, index=index)
            attached.append(await assemble_one(host, disk, owner))
        on_failure.pop_all()
    return attached


async def shutdown_all(host: Host, guest: Guest) -> None:
    """Undo `assemble_all`. Tries every disk, then raises the first error."""
    first: GanetiError | None = None
    for index, disk in enumerate(guest.disks):
        host.files.remove(_link(host, guest.name, index))
        try:
            await host.storage(disk.dev_type).shutdown(disk)
        except GanetiError as error:
            _log.warning("disk not shut down", instance=guest.name, disk=disk.uuid, error=error.message)
            first = first or error
    if first is not None:
        raise first


async def put_away(host: Host, guest: Guest) -> None:
    """`shutdown_all` on the way out of a failure, whose own error matters more than what goes wrong here."""
    try:
        await shutdown_all(host, guest)
    except GanetiError as error:
        _log.error("disks left assembled after a failure", instance=guest.name, error=error.message)


async def assemble_one(host: Host, disk: Disk, owner: Owner) -> AttachedDisk:
    """Make a disk accessible and link it as `instance-disks/NAME:INDEX`; the reply has the real path."""
    attached = await host.storage(disk.dev_type).assemble(disk, owner)
    if attached.path:
        link = _link(host, owner.instance_name, owner.index)
        host.files.make_dirs(_links(host))
        host.files.symlink(attached.path, link)
    return attached


def through_links(host: Host, guest: Guest, attached: list[AttachedDisk]) -> list[AttachedDisk]:
    """The disks by the paths of their links, which are the same on every node: for hypervisors."""
    return [
        msgspec.structs.replace(disk, path=_link(host, guest.name, disk.index)) if disk.path else disk
        for disk in attached
    ]


def _links(host: Host) -> str:
    return f"{host.paths.run}/instance-disks"


def _link(host: Host, instance: str, index: int) -> str:
    return f"{_links(host)}/{instance}:{index}"


def _drop_dangling_links(host: Host) -> None:
    for name in host.files.list_dir(_links(host)):
        path = f"{_links(host)}/{name}"
        if not host.files.exists(path):
            host.files.remove(path)


async def _write_zeros(host: Host, path: str, size_mib: int) -> None:
    done = await host.runner.run(
        ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={size_mib}", "conv=notrunc,fsync"],
        timeout_s=WIPE_WITHIN_S,
    )
    done.expect_success(f"wipe {path}")

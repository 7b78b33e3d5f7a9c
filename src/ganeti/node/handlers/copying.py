"""Calls about copying disks between nodes; the disk is assembled for as long as that takes."""

from __future__ import annotations

import msgspec

from ganeti.contract.calls.copying import CopyEnd, CopyLook, CopyReceive, CopySend
from ganeti.contract.migration import Landing
from ganeti.drivers.storage.copying import Copier
from ganeti.node.handlers import handles
from ganeti.node.host import Host


@handles(CopyReceive)
async def receive(host: Host, call: CopyReceive) -> Landing:
    """The name is ours: the sender checks it against our certificate."""
    storage = host.storage(call.disk.dev_type)
    attached = await storage.assemble(call.disk, call.owner)
    try:
        landing = await _copier(host).serve(attached, address=call.address, peer=call.peer)
    except BaseException:
        await storage.shutdown(call.disk)
        raise
    return msgspec.structs.replace(landing, name=host.name)


@handles(CopyEnd)
async def end(host: Host, call: CopyEnd) -> None:
    """Nobody may have it open when it is put away."""
    await _copier(host).end(call.disk.uuid)
    await host.storage(call.disk.dev_type).shutdown(call.disk)


@handles(CopySend)
async def send(host: Host, call: CopySend) -> None:
    """The guest must not run: its disk would change meanwhile."""
    storage = host.storage(call.disk.dev_type)
    attached = await storage.assemble(call.disk, call.owner)
    try:
        await _copier(host).send(attached, call.landing, within_s=call.within_s)
    finally:
        await storage.shutdown(call.disk)


@handles(CopyLook)
async def look(host: Host, call: CopyLook) -> float | None:
    """What the copier has written last."""
    return _copier(host).percent(call.disk.uuid)


def _copier(host: Host) -> Copier:
    return Copier(files=host.files, runner=host.runner, paths=host.paths)

"""Calls about guests that move: the hypervisor's half of it, with the disks assembled before and put away after."""

from __future__ import annotations

from typing import cast

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.calls.instance import Objections
from ganeti.contract.calls.migration import (
    MigrationAbort,
    MigrationCheck,
    MigrationFinish,
    MigrationKeep,
    MigrationLeave,
    MigrationReceive,
    MigrationSend,
    MigrationSwitch,
    MigrationWatch,
    MovingGet,
)
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.migration import Landing, Migrating, Moving, Progress
from ganeti.node.handlers import handles
from ganeti.node.handlers.disk import assemble_all, put_away, shutdown_all, through_links
from ganeti.node.host import Host


@handles(MovingGet)
async def moving(host: Host, call: MovingGet) -> Moving:
    """The guest as it was started, not as the configuration has it."""
    return await _mover(host, call.guest).moving(call.guest)


@handles(MigrationCheck)
async def check(host: Host, call: MigrationCheck) -> Objections:
    """Everything at once, so that one round is enough to mend all."""
    guest = call.moving.guest
    against = list(await host.hypervisor(guest.hypervisor).check(guest.hvparams))
    against += await _mover(host, guest).objections_to(call.moving, ignore_version=call.ignore_version)
    for nic in guest.nics:
        against += [f"nic/{nic.index}: {sentence}" for sentence in await host.network(nic.mode).check(nic)]
    for index, disk in enumerate(guest.disks):
        there = await host.storage(disk.dev_type).size_mib(disk) is not None
        where = disk.logical_id[-1] if disk.logical_id else disk.uuid
        if call.disks_exist and not there:
            against.append(f"disk/{index}: there is no data at {where}")
        if there and not call.disks_exist:
            against.append(f"disk/{index}: there is data at {where} already; look whose it is, and remove it")
    state = await host.hypervisor(guest.hypervisor).state(guest.name)
    if state is not None and state.status in ("running", "paused"):
        against.append(
            f"a guest of that name is {state.status} there; 'gnt-instance migrate --cleanup {guest.name}' mends that"
        )
    return Objections(sentences=tuple(against))


@handles(MigrationReceive)
async def receive(host: Host, call: MigrationReceive) -> Landing:
    """Disks first; a failure puts them away again."""
    guest = call.guest
    mover = _mover(host, guest)
    attached = await assemble_all(host, guest)
    try:
        landing = await mover.receive(
            call.moving,
            through_links(host, guest, attached),
            address=call.address,
            peer=call.peer,
            copies_disks=call.copies_disks,
            pace=call.pace,
        )
    except BaseException:
        await put_away(host, guest)
        raise
    return Landing(name=host.name, host=landing.host, port=landing.port, disks_port=landing.disks_port)


@handles(MigrationAbort)
async def abort(host: Host, call: MigrationAbort) -> None:
    """Its disks are put away unless somebody uses them."""
    await _mover(host, call.guest).abort(call.guest)
    await _put_away_unless_used(host, call.guest)


@handles(MigrationSend)
async def send(host: Host, call: MigrationSend) -> None:
    """It only begins."""
    await _mover(host, call.guest).send(call.guest, call.landing, call.pace)


@handles(MigrationWatch)
async def watch(host: Host, call: MigrationWatch) -> Progress:
    """The driver does what comes next."""
    return await _mover(host, call.guest).watch(call.guest, within_s=call.within_s)


@handles(MigrationSwitch)
async def switch(host: Host, call: MigrationSwitch) -> None:
    """From here on there is no way back."""
    await _mover(host, call.guest).switch(call.guest)


@handles(MigrationKeep)
async def keep(host: Host, call: MigrationKeep) -> None:
    """Its disks were never put away."""
    await _mover(host, call.guest).keep(call.guest)


@handles(MigrationFinish)
async def finish(host: Host, call: MigrationFinish) -> GuestState | None:
    """The answer shows that it runs."""
    await _mover(host, call.guest).finish(call.guest, if_there=call.if_there)
    return await host.hypervisor(call.guest.hypervisor).state(call.guest.name)


@handles(MigrationLeave)
async def leave(host: Host, call: MigrationLeave) -> None:
    """Its disks are put away unless somebody uses them."""
    await _mover(host, call.guest).leave(call.guest)
    await _put_away_unless_used(host, call.guest)


async def _put_away_unless_used(host: Host, guest: Guest) -> None:
    state = await host.hypervisor(guest.hypervisor).state(guest.name)
    if state is None or state.status not in ("running", "paused"):
        await shutdown_all(host, guest)


def _mover(host: Host, guest: Guest) -> Migrating:
    """The driver's other half, or `Refused` when guests of that hypervisor cannot move."""
    driver = host.hypervisor(guest.hypervisor)
    if not hasattr(driver, "receive"):
        raise Refused(WRONG_INPUT, f"guests of {guest.hypervisor} cannot move while they run", guest=guest.name)
    return cast(Migrating, driver)

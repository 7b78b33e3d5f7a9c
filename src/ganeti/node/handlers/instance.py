"""Calls about guests: disks first, then the hypervisor; and back in the other order."""

from __future__ import annotations

from typing import TypeGuard

from ganeti.base.errors import Failed, GanetiError
from ganeti.contract.calls.instance import (
    GuestStates,
    GuestStatesGet,
    InstanceBalloon,
    InstanceCheck,
    InstanceConsoleGet,
    InstanceReboot,
    InstanceStart,
    InstanceStop,
    Objections,
)
from ganeti.contract.guest import Console, GuestState
from ganeti.node.handlers import handles
from ganeti.node.handlers.disk import assemble_all, put_away, shutdown_all, through_links
from ganeti.node.host import Host


@handles(InstanceStart)
async def start(host: Host, call: InstanceStart) -> GuestState:
    """A guest that is alive is left alone."""
    guest = call.guest
    hypervisor = host.hypervisor(guest.hypervisor)
    state = await hypervisor.state(guest.name)
    if is_alive(state):
        return state
    attached = await assemble_all(host, guest)
    try:
        await hypervisor.start(guest, through_links(host, guest, attached), paused=call.paused)
    except BaseException:
        await put_away(host, guest)
        raise
    state = await hypervisor.state(guest.name)
    if not is_alive(state):
        await put_away(host, guest)
        raise Failed(f"guest {guest.name} ended right after its start", instance=guest.name)
    return state


@handles(InstanceStop)
async def stop(host: Host, call: InstanceStop) -> None:
    """Disks that cannot be shut down are an error, but the guest is down by then."""
    hypervisor = host.hypervisor(call.guest.hypervisor)
    await hypervisor.stop(call.guest, force=call.force, timeout_s=call.within_s)
    if not call.keep_disks:
        await shutdown_all(host, call.guest)


@handles(InstanceReboot)
async def reboot(host: Host, call: InstanceReboot) -> None:
    """Within its hypervisor; disks and NICs stay as they are."""
    await host.hypervisor(call.guest.hypervisor).reboot(call.guest)


@handles(InstanceBalloon)
async def balloon(host: Host, call: InstanceBalloon) -> None:
    """The guest must run."""
    await host.hypervisor(call.guest.hypervisor).balloon(call.guest, call.memory_mib)


@handles(GuestStatesGet)
async def states(host: Host, call: GuestStatesGet) -> GuestStates:
    """A hypervisor that cannot say does not hide what the others say."""
    guests: list[GuestState] = []
    problems: dict[str, str] = {}
    for name in call.hypervisors:
        try:
            hypervisor = host.hypervisor(name)
            if call.name is None:
                guests.extend(await hypervisor.list())
            elif (state := await hypervisor.state(call.name)) is not None:
                guests.append(state)
        except GanetiError as error:
            problems[name] = error.message
    return GuestStates(guests=tuple(guests), problems=problems)


@handles(InstanceConsoleGet)
async def console(host: Host, call: InstanceConsoleGet) -> Console:
    """The way in leads over this node."""
    return await host.hypervisor(call.guest.hypervisor).console(call.guest, host=host.name)


@handles(InstanceCheck)
async def check(host: Host, call: InstanceCheck) -> Objections:
    """Everything at once, so that one round is enough to mend all."""
    guest = call.guest
    against = list(await host.hypervisor(guest.hypervisor).check(guest.hvparams))
    for nic in guest.nics:
        against += [f"nic/{nic.index}: {sentence}" for sentence in await host.network(nic.mode).check(nic)]
    for place in call.storages:
        against += await host.storage(place.template).check(place.location)
    if call.disks_exist:
        for index, disk in enumerate(guest.disks):
            if await host.storage(disk.dev_type).size_mib(disk) is None:
                where = disk.logical_id[-1] if disk.logical_id else disk.uuid
                against.append(f"disk/{index}: there is no data at {where}")
    return Objections(sentences=tuple(against))


def is_alive(state: GuestState | None) -> TypeGuard[GuestState]:
    """Whether a guest's process is there and has its disks open."""
    return state is not None and state.status in ("running", "paused")

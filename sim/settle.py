"""The end of a story: faults stop, everything is up again, what goes on comes to its end, and then the checkers look."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ganeti.base.errors import GanetiError
from ganeti.master.master import Master
from ganeti.model.jobs import FINAL
from ganeti.wire.memory import Faults as WireFaults
from sim.checkers import check_settled
from sim.os import Odds
from sim.world import World

STRAGGLERS_WITHIN_S: Final = 500.0
"""No message is later than that."""
SETTLED_WITHIN_S: Final = 6 * 3600.0


def calm(world: World) -> None:
    """No faults any more; whatever is down comes up."""
    world.note("calm")
    world.network.faults = WireFaults(delay_s=0.0005)
    world.store_faults.calm()
    for process in world.processes:
        process.kill_at = None
    for host in world.hosts.values():
        world.network.mend("master", host.name)
        host.files.forget_faults()
        host.scripts.odds = Odds()
        if not host.is_up:
            world.start_daemon(host)


async def settle(world: World) -> None:
    """Calm the world, wait until nothing goes on, start what may be down, and check."""
    calm(world)
    if await _quiet(world) is None:
        return
    await asyncio.sleep(STRAGGLERS_WITHIN_S)
    await _remove_for_good(world)
    await _restart_guests(world)
    master = await _quiet(world)
    if master is not None:
        check_settled(world, master)


async def _quiet(world: World) -> Master | None:
    try:
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                master = await world.at_work()
                left = [job.id for job in world.jobs() if job.status not in FINAL]
                left_keys = world.keys("undo/") + world.keys("debt/")
                if not left and not left_keys and not master.locks.holding():
                    return master
                await asyncio.sleep(5.0)
    except TimeoutError:
        unfinished = [f"{job.id} ({job.status})" for job in world.jobs() if job.status not in FINAL]
        kept = world.keys("undo/") + world.keys("debt/")
        world.violated(f"it never settles: jobs {unfinished}, keys {kept}")
        return None


async def _remove_for_good(world: World) -> None:
    """What an operator does after a removal that failed half-way: remove again."""
    for instance in world.instances():
        if instance.name in world.history.half_removed:
            await _do(world, {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": instance.name})


async def _restart_guests(world: World) -> None:
    """What a watcher would do for guests that went down with their host, or in an operation that failed."""
    for instance in world.instances():
        if instance.admin_state != "up" or instance.name in world.host_of(instance).guests():
            continue
        if instance.name not in world.history.excused:
            world.violated(f"instance {instance.name} shall run and does not, and nothing explains it")
        await _do(world, {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": instance.name, "force": True})


async def _do(world: World, op: dict[str, Any]) -> None:
    what = f"{op['OP_ID']} of {op['instance_name']}"
    try:
        job = await world.ended(await world.submit(op))
    except GanetiError as error:
        world.violated(f"{what} is not accepted: {error.message}")
    else:
        if job.status != "success":
            world.violated(f"{what} does not succeed: {job.ops[0].result}")

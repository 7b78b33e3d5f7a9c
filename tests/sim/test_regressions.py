"""What the simulation once found, each as a short scenario of its own; the seed it was found with stands beside it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.base.tasks import Scope
from ganeti.contract.calls import codec
from ganeti.contract.calls.disk import DiskRemove, DiskShutdown
from ganeti.master.nodes import Owed
from ganeti.master.state import Deposed, State
from ganeti.model.objects import Disk, Uuid
from ganeti.store.memory import Faults, LostAnswer, MemoryDisk, MemoryStore, Stall
from ganeti.wire.memory import Faults as WireFaults
from sim import loop
from sim.settle import settle
from sim.world import World, world
from tests.sim.operations import CREATE, REMOVE, SHUTDOWN

pytestmark = pytest.mark.sim


def play(scenario: Callable[[World], Awaitable[None]], *, seed: int = 1, nodes: int = 1) -> None:
    """Run a scenario in a calm world with a master at work, settle, and expect nothing to be wrong."""

    async def main() -> tuple[list[str], list[str]]:
        async with world(seed, nodes=nodes) as made:
            await made.at_work()
            await scenario(made)
            await settle(made)
            return made.violations, made.trace

    violations, trace = loop.run(main)
    assert violations == [], "\n".join(trace)


async def until(made: World, event: str) -> None:
    """Wait until the trace tells of it."""
    async with asyncio.timeout(600):
        while not any(event in line for line in made.trace):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("delay_ms", range(0, 800, 40))
def test_a_priority_can_change_while_the_job_writes_its_journal(delay_ms: int) -> None:
    """Seeds 13 and 111 of the first workload: the second write of one key ended the master."""

    async def scenario(made: World) -> None:
        made.store_faults._commit_s = (0.02, 0.2)
        job = await made.submit(CREATE)
        await asyncio.sleep(delay_ms / 1000)
        _ = await made.ask(lambda master: master.queue.change_priority(job, 5))
        assert (await made.ended(job)).status == "success"

    play(scenario)


def test_a_job_can_be_killed_at_any_time() -> None:
    """A kill in the last commit undid an instance that was committed; a second kill left the job without an end."""

    for delay_ms in range(0, 8000, 37):

        async def scenario(made: World, delay_ms: int = delay_ms) -> None:
            made.store_faults._commit_s = (0.02, 0.2)
            job = await made.submit(CREATE)
            await asyncio.sleep(delay_ms / 1000)
            for _ in range(2):
                await made.ask(lambda master: master.queue.cancel(job, kill=True))
                await asyncio.sleep(0.01)
            _ = await made.ended(job)

        play(scenario, seed=delay_ms)


def test_a_waiting_job_cancelled_twice_ends_once() -> None:
    async def scenario(made: World) -> None:
        first = await made.submit(CREATE)
        waiting = await made.submit(REMOVE | {"depends": [[first, []]]})
        async with asyncio.TaskGroup() as clients:
            for _ in range(2):
                _ = clients.create_task(made.ask(lambda master: master.queue.cancel(waiting)))
        assert (await made.ended(waiting)).status == "canceled"
        assert (await made.ended(first)).status == "success"

    play(scenario)


def test_a_takeover_reads_what_the_older_master_writes_until_then() -> None:
    """Seed 28: the snapshot was older than the epoch; what came in between was overlooked."""

    async def main() -> None:
        disk, slow = MemoryDisk(shared=True), Faults()
        old = State(await MemoryStore.open(disk))
        await old.load()
        new = State(await MemoryStore.open(disk, faults=slow))
        slow.script(Stall(seconds=5.0))
        async with Scope() as scope:
            taking_over = scope.start(new.load(), name="take over")
            await asyncio.sleep(1.0)
            _ = await old.commit(put={"job/0000000001": b"{}"})
            await taking_over
            assert "job/0000000001" in new.entries
            with pytest.raises(Deposed):
                await old.commit(put={"job/0000000002": b"{}"})

    loop.run(main)


def test_a_killed_deed_whose_message_comes_late_is_not_begun() -> None:
    """Seed 1: the undo overtook the deed, and a disk was left that nobody knew."""

    for seed in range(30):

        async def scenario(made: World) -> None:
            made.network.faults = WireFaults(late=0.5, late_s=8.0, delay_s=0.0005)
            job = await made.submit(CREATE)
            await until(made, "undo/0000000001/000001")
            await asyncio.sleep(0.05)
            await made.ask(lambda master: master.queue.cancel(job, kill=True))
            _ = await made.ended(job)

        play(scenario, seed=seed)


def test_a_store_that_is_down_at_the_end_of_a_removal_is_waited_for() -> None:
    """Seed 145: the data were gone, the entry stayed."""

    async def scenario(made: World) -> None:
        assert (await made.ended(await made.submit(CREATE))).status == "success"
        job = await made.submit(REMOVE)
        host = next(iter(made.hosts.values()))
        while host.disks():
            await asyncio.sleep(0.001)
        made.store_faults.down = True
        await asyncio.sleep(60.0)
        made.store_faults.down = False
        assert (await made.ended(job)).status == "success"

    play(scenario)


def test_ids_are_not_given_twice_after_archiving_and_a_restart() -> None:
    """An answer that got lost let an older serial number overwrite a newer one."""

    async def scenario(made: World) -> None:
        made.store_faults.script(LostAnswer(done=False), LostAnswer(done=True), None, LostAnswer(done=True))
        async with asyncio.TaskGroup() as clients:
            for _ in range(5):
                _ = clients.create_task(made.submit(SHUTDOWN))
        for job in list(made.accepted):
            _ = await made.ended(job)
        assert await made.ask(lambda master: master.queue.archive(list(made.accepted))) == 5
        process = made.process
        assert process is not None
        process.kill()
        _ = await made.at_work()
        assert await made.submit(SHUTDOWN) == 6

    play(scenario)


def test_a_debt_that_can_never_be_paid_does_not_hold_up_other_things() -> None:
    """Seed 552: undoing a move of data that were gone failed for ever, and with it all that its node was asked."""

    async def main() -> None:
        async with world(1) as made:
            master = await made.at_work()
            (node,) = master.state.picture.nodes
            stray = Disk(uuid=Uuid("stray"), dev_type="file", size=1, logical_id=("loop", "/etc/passwd"))
            owed = Owed(node=node, job=1, call=msgspec.Raw(codec.encode(DiskRemove(disk=stray))))
            key = f"debt/{node}/undo/0000000001/000001"
            _ = await master.state.commit(put={key: msgspec.json.encode(owed)})
            master.nodes.owe(key, owed)
            assert (await made.ended(await made.submit(CREATE))).status == "success"
            with pytest.raises(Failed):
                await made.ask(lambda master: master.nodes.call(node, DiskShutdown(disk=stray)))
            assert made.keys("debt/") == [key]

    loop.run(main)


def test_a_superseded_master_ends_as_soon_as_it_wants_to_write() -> None:
    async def scenario(made: World) -> None:
        old = made.process
        assert old is not None
        job = await made.submit(CREATE)
        await until(made, "undo/0000000001/000001")
        _ = await made.start_master()
        _ = await made.at_work()
        assert (await made.ended(job)).status == "error"
        with pytest.raises((Deposed, Unavailable)):
            _ = await old.ask(lambda master: master.queue.submit([[SHUTDOWN]]))
        await asyncio.sleep(1.0)
        assert old.ended
        assert made.hosts["node1.example.com"].disks() == {}

    play(scenario)

"""The simulation finds what it is there to find: with one safeguard taken away at a time, its checkers complain."""

from collections.abc import Iterable
from typing import Any

import pytest

from ganeti.contract.calls import Call, Envelope
from ganeti.master.jobs import execute
from ganeti.master.jobs.journal import Journal
from ganeti.model.objects import Uuid
from ganeti.node.fence import Fence
from ganeti.node.stale import Stale
from sim import loop
from sim.settle import settle
from sim.story import tell
from sim.world import world
from tests.sim.operations import CREATE

pytestmark = pytest.mark.sim


def violations_of_kills(seeds: Iterable[int]) -> list[str]:
    """Kill a master at every step of a creation, with its messages arriving up to a minute late."""

    async def one(seed: int, kill_at: int) -> tuple[list[str], bool]:
        async with world(seed) as made:
            await made.at_work()
            process = made.process
            assert process is not None
            made.stale_s = 60.0
            process.kill_at = len(process.steps) + kill_at
            try:
                job = await made.submit(CREATE)
                await made.ended(job, within_s=30)
            except Exception:
                assert process.life.dead or kill_at
            survived = not process.life.dead
            await settle(made)
            return made.violations, survived

    found: list[str] = []
    for seed in seeds:
        for kill_at in range(100):
            violations, survived = loop.run(lambda seed=seed, kill_at=kill_at: one(seed, kill_at))  # type: ignore[misc]
            found += violations
            if survived:
                break
    return found


def test_with_every_safeguard_nothing_is_left_behind() -> None:
    assert violations_of_kills(range(3)) == []


def test_without_the_fence_of_nodes_late_messages_leave_orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fence, "admit", lambda self, epoch: None)
    assert any("orphan" in sentence for sentence in violations_of_kills(range(3)))


class UndoAfterwards(Journal):
    """Writes a reversal only after the deed."""

    late: list[tuple[tuple[Uuid, Call[Any]], ...]]

    async def later(self, *calls: tuple[Uuid, Call[Any]]) -> None:
        self.late = [*getattr(self, "late", []), calls]

    async def write(self) -> None:
        late, self.late = getattr(self, "late", []), []
        for calls in late:
            await super().later(*calls)


class DeedFirst(execute.Execution):
    """Does the deed, then writes how to undo it."""

    async def call(self, node: Uuid, call: Call[Any]) -> Any:
        try:
            return await super().call(node, call)
        finally:
            if not call.only_reads and isinstance(self.undo, UndoAfterwards):
                await self.undo.write()


def test_with_undo_written_after_the_deed_orphans_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "Journal", UndoAfterwards)
    monkeypatch.setattr("ganeti.master.jobs.queue.Execution", DeedFirst)
    assert any("orphan" in sentence for sentence in violations_of_kills(range(3)))


def test_with_late_calls_served_stories_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: Stale, envelope: Envelope) -> None:
        """Let everything in."""

    monkeypatch.setattr(Stale, "check", check)
    assert any(tell(seed).violations for seed in range(1, 200, 3))

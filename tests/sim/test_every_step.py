"""A master that is killed at any step of creating or removing an instance leaves nothing behind and loses no job."""

from typing import Any

import pytest

from sim import loop
from sim.settle import settle
from sim.world import World, world
from tests.sim.operations import CREATE, REMOVE

pytestmark = pytest.mark.sim


async def story(made: World, *, before: list[dict[str, Any]], op: dict[str, Any], kill_at: int | None) -> list[str]:
    """Do `before` in peace, then `op` with the master dying at a step of it; returns the steps up to its end."""
    await made.at_work()
    for each in before:
        assert (await made.ended(await made.submit(each))).status == "success"
    process = made.process
    assert process is not None
    begin = len(process.steps)
    process.kill_at = None if kill_at is None else begin + kill_at
    try:
        job = await made.submit(op)
    except Exception:
        assert process.life.dead  # killed before the id was answered: accepted or not
    else:
        if kill_at is None:
            await made.ended(job)
    await settle(made)
    return process.steps[begin:]


def run(seed: int, **told: Any) -> tuple[list[str], list[str], list[str]]:
    async def main() -> tuple[list[str], list[str], list[str]]:
        async with world(seed, nodes=1) as made:
            steps = await story(made, **told)
            return steps, made.violations, made.trace

    return loop.run(main)


@pytest.mark.parametrize(
    "before,op",
    [pytest.param([], CREATE, id="create"), pytest.param([CREATE], REMOVE, id="remove")],
)
def test_a_master_killed_at_every_step(before: list[dict[str, Any]], op: dict[str, Any]) -> None:
    steps, violations, _ = run(1, before=before, op=op, kill_at=None)
    assert violations == []
    assert len(steps) > 15
    for seed in (1, 2, 3):
        for index, step in enumerate(steps):
            _, violations, trace = run(seed, before=before, op=op, kill_at=index)
            assert violations == [], f"seed {seed}, killed {step} (step {index}):\n" + "\n".join(trace)

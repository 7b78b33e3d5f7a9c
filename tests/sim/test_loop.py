"""The loop keeps its three promises: time that jumps, the same order in every run, deadlocks said at once."""

import asyncio
import random
import time

import pytest

from ganeti.base.tasks import Scope
from sim import loop

pytestmark = pytest.mark.sim


async def many_tasks(seed: int) -> list[tuple[float, int]]:
    rng, order = random.Random(seed), list[tuple[float, int]]()

    async def sleeper(number: int) -> None:
        try:
            await asyncio.sleep(rng.uniform(0, 2 * 86_400))
        finally:
            order.append((asyncio.get_running_loop().time(), number))

    async with Scope() as scope:
        for number in range(200):
            _ = scope.start(sleeper(number), name=str(number))
        await asyncio.sleep(86_400)
    return order


def test_a_day_passes_in_no_time() -> None:
    began = time.process_time()
    assert loop.run(lambda: many_tasks(1))[-1][0] == 86_400
    assert time.process_time() - began < 10


def test_tasks_are_cancelled_in_the_same_order_in_every_run() -> None:
    first = loop.run(lambda: many_tasks(1))
    padding = [object() for _ in range(1000)]  # moves what comes after it in memory
    assert loop.run(lambda: many_tasks(1)) == first
    assert len(padding) == 1000
    assert loop.run(lambda: many_tasks(2)) != first


def test_a_deadlock_is_said_at_once() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(loop.Deadlock):
        loop.run(stuck)

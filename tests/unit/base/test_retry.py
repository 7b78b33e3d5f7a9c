"""How often and how long something is tried again."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Mapping
from typing import Any

import pytest

from ganeti.base.retry import attempts


class _Selector(selectors.DefaultSelector):
    """Waiting takes no time, but moves the clock."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def times_s(**limits: float) -> list[float]:
    """When the tries are made."""

    async def tries(limits: Mapping[str, Any]) -> list[float]:
        return [asyncio.get_running_loop().time() async for _ in attempts(**limits)]

    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(tries(limits))


def test_without_time_there_is_one_try() -> None:
    assert times_s(within_s=0) == [0.0]


def test_pauses_grow_up_to_the_longest_and_the_last_try_is_at_the_end() -> None:
    times = times_s(within_s=10, first_pause_s=1, factor=2, longest_pause_s=3)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses == pytest.approx([1, 2, 3, 3, 1])


async def test_who_succeeds_just_leaves() -> None:
    tried = 0
    async for number in attempts(within_s=600):
        tried = number
        if number == 2:
            break
    assert tried == 2

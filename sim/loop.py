"""An event loop on virtual time: when every task waits, the clock jumps to the next timer; every run is the same.

Three promises. Time is a number: a day passes in the time its work takes. Order is a function of the program: a
task's hash is its birth number, because `asyncio.TaskGroup` keeps its children in a set, and sets go by hash (by
default a memory address). A deadlock is said at once: when every task waits and no timer is armed, `Deadlock`.

Nothing inside may use threads, processes or sockets: they live by another clock, and nobody here would wait for them.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits, and nothing will ever wake one."""


class SimLoop(asyncio.SelectorEventLoop):
    """A loop whose waiting costs nothing."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(_Jump(self._jump))
        births = itertools.count()

        def make_task(
            loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
        ) -> asyncio.Task[Any]:
            task = _Task.__new__(_Task)
            task.birth = next(births)  # before __init__, which registers the task and so hashes it
            _Task.__init__(task, coroutine, loop=loop, **options)
            return task

        self.set_task_factory(make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_s

    def _jump(self, seconds: float) -> None:
        self._virtual_s += seconds


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one simulated world to its end and return what it returns."""
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        return runner.run(main())


class _Task(asyncio.Task[Any]):
    birth: int

    def __hash__(self) -> int:
        return self.birth


class _Jump(selectors.SelectSelector):
    """Where a loop would sleep, this one moves its clock. No file is ever looked at."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task is waiting and no timer is armed")
        if timeout > 0:
            self._jump(timeout)
        return []

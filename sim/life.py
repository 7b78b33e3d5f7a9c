"""Sudden death of a simulated process: the ports it holds go dead, so that nothing it still does has an effect.

A task that is cancelled runs its `finally` clauses; a process that is killed does not. So a killed process is
cancelled *and* every port it was given raises `Dead` from then on: its cleaning up reaches nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

Pace = Callable[[], Awaitable[None]]
"""How long things take: awaited before and after each deed."""


class Dead(BaseException):
    """Raised by every port of a dead process. No `Exception`: no retry and no border may catch it."""


class Life:
    """Whether one process lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False

    def check(self) -> None:
        """Raise `Dead` when it does not."""
        if self.dead:
            raise Dead(self.name)


def mortal(port: T, life: Life, pace: Pace | None = None) -> T:
    """The same port for a process that may die: its methods work while that lives, coroutines at some pace."""
    return cast(T, _Mortal(port, life, pace))


class _Mortal:
    def __init__(self, port: object, life: Life, pace: Pace | None) -> None:
        self._port = port
        self._life = life
        self._pace = pace

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if inspect.iscoroutinefunction(found):
            wrapped: Any = self._slow(found)
        elif inspect.ismethod(found):
            wrapped = self._quick(found)
        else:
            return found
        self.__dict__[name] = wrapped
        return wrapped

    def _slow(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def checked(*args: Any, **named: Any) -> Any:
            self._life.check()
            if self._pace is not None:
                await self._pace()
                self._life.check()
            result = await method(*args, **named)
            self._life.check()
            if self._pace is not None:
                await self._pace()
                self._life.check()
            return result

        return checked

    def _quick(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*args: Any, **named: Any) -> Any:
            self._life.check()
            return method(*args, **named)

        return checked

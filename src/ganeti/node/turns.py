"""Taking turns: deeds that touch the same guest or disk are done one after another, in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


class Turns:
    """One queue for each key that somebody uses or waits for."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def of(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Have all keys to oneself. They are taken in sorted order, so nobody can wait in a circle."""
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                await stack.enter_async_context(self._turn(key))
            yield

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        queue = self._queues.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with queue:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._queues[key]

"""Taking turns: deeds that touch the same guest or disk are done one after another, in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from ganeti.contract.calls import Call
from ganeti.contract.guest import Guest
from ganeti.model.objects import Disk


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


def keys_of(call: Call[Any]) -> set[str]:
    """What a call touches: its guest with the disks of it, its disks."""
    keys: set[str] = set()
    for field in call.__struct_fields__:
        value = getattr(call, field)
        if isinstance(value, Guest):
            keys.add(f"guest/{value.name}")
            keys.update(f"disk/{disk.uuid}" for disk in value.disks)
        elif isinstance(value, Disk):
            keys.add(f"disk/{value.uuid}")
    return keys

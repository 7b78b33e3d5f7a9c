"""Waiting for locks on an event loop: the rules are the table's, here are callbacks and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from ganeti.contract.operation import Locks
from ganeti.locks.table import LockRow, LockTable


class LockManager:
    """Grants locks to owners, which are numbers (of jobs). Used from one event loop.

    Who is granted is told by its callback in a later turn of the loop, never from inside a call made here; several
    that are granted at once are told in the order of the queue.
    """

    def __init__(self, table: LockTable | None = None) -> None:
        self._table = LockTable() if table is None else table
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._telling: dict[int, asyncio.Handle] = {}

    def request(
        self,
        owner: int,
        locks: Locks,
        priority: int,
        on_granted: Callable[[], None],
        *,
        exempt: bool = False,
    ) -> None:
        """Ask for all these locks at once; `on_granted` is called when they are held, once, and never after `cancel`.

        Lower priorities are more urgent. An `exempt` owner is not held up by the limit and does not count.
        Raises `Bug` when the owner has a request already.
        """
        loop = asyncio.get_running_loop()
        granted = self._table.request(
            owner,
            shared=locks.shared,
            exclusive=locks.exclusive,
            priority=priority,
            now_s=loop.time(),
            exempt=exempt,
        )
        self._callbacks[owner] = on_granted
        if granted:
            self._tell([owner])

    def release(self, owner: int) -> None:
        """Give back what the owner holds, told or not yet. Raises `Bug` when it holds nothing."""
        granted = self._table.release(owner)
        self._forget(owner)
        self._tell(granted)

    def cancel(self, owner: int) -> bool:
        """Withdraw a request whose owner was not told yet; it then holds and waits for nothing.

        False when it was told, or has no request: then nothing changed.
        """
        if self._table.is_waiting(owner):
            granted = self._table.cancel(owner)
        elif owner in self._telling:
            granted = self._table.release(owner)
        else:
            return False
        self._forget(owner)
        self._tell(granted)
        return True

    def change_priority(self, owner: int, priority: int) -> None:
        """Move a waiter; without effect on an owner that does not wait."""
        self._tell(self._table.change_priority(owner, priority))

    def change_limit(self, limit: int | None) -> None:
        """How many owners may hold at a time; None is no limit. Who holds now stays."""
        self._tell(self._table.change_limit(limit))

    def is_waiting(self, owner: int) -> bool:
        """Whether the owner still waits."""
        return self._table.is_waiting(owner)

    def waiting(self) -> list[int]:
        """Who waits, first who is first."""
        return self._table.waiting()

    def holding(self) -> list[int]:
        """Who holds."""
        return self._table.holding()

    def rows(self) -> list[LockRow]:
        """What `gnt-debug locks` shows."""
        return self._table.rows()

    @asynccontextmanager
    async def hold(self, owner: int, locks: Locks, *, priority: int = 0, exempt: bool = False) -> AsyncIterator[None]:
        """Wait for the locks and hold them inside. A task cancelled while it waits leaves nothing behind."""
        told = asyncio.get_running_loop().create_future()

        def tell() -> None:
            if not told.done():
                told.set_result(None)

        self.request(owner, locks, priority, tell, exempt=exempt)
        try:
            await told
            yield
        finally:
            if not self.cancel(owner):
                self.release(owner)

    def _tell(self, owners: Iterable[int]) -> None:
        loop = asyncio.get_running_loop()
        for owner in owners:
            self._telling[owner] = loop.call_soon(self._call, owner)

    def _call(self, owner: int) -> None:
        del self._telling[owner]
        self._callbacks.pop(owner)()

    def _forget(self, owner: int) -> None:
        self._callbacks.pop(owner, None)
        telling = self._telling.pop(owner, None)
        if telling is not None:
            telling.cancel()

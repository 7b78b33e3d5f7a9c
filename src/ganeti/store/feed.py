"""The latest changes of a store, kept in memory for who watches. Knows no engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ganeti.base.errors import Unavailable
from ganeti.contract.store import Change, Compacted, Revision

KEEP_CHANGES = 10_000
KEEP_BYTES = 32 * 2**20


class Feed:
    """A bounded history of changes with consecutive revisions, and the watchers that wait for the next one.

    A watcher only has a position in the common history. However slow it is, it costs no memory: when what it
    wants has been dropped it gets `Compacted`.
    """

    def __init__(self, start: Revision, *, keep_changes: int = KEEP_CHANGES, keep_bytes: int = KEEP_BYTES) -> None:
        self._changes: dict[int, Change] = {}
        self._compacted: int = start
        """Changes up to this revision are not here (any more)."""
        self._last: int = start
        self._keep_changes = keep_changes
        self._keep_bytes = keep_bytes
        self._bytes = 0
        self._asleep: dict[asyncio.Future[None], None] = {}
        self._end: str | None = None

    def publish(self, change: Change) -> None:
        """Append the change that follows the last one, and wake the watchers."""
        assert change.revision == self._last + 1, f"revision {change.revision} after {self._last}"
        self._changes[change.revision] = change
        self._last = change.revision
        self._bytes += _size_bytes(change)
        while len(self._changes) > max(1, self._keep_changes) or (
            self._bytes > self._keep_bytes and len(self._changes) > 1
        ):
            self._compacted += 1
            self._bytes -= _size_bytes(self._changes.pop(self._compacted))
        self._wake()

    def end(self, reason: str) -> None:
        """No change will follow: watchers get `Unavailable` after what is left for them."""
        self._end = reason
        self._wake()

    async def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        """See `contract.store.Store.watch`."""
        seen: int = after
        while True:
            if seen < self._compacted:
                raise Compacted(f"changes after revision {seen} are kept only from {self._compacted + 1} on")
            if seen < self._last:
                seen += 1
                change = _below(self._changes[seen], prefix)
                if change is not None:
                    yield change
            elif self._end is not None:
                raise Unavailable(self._end)
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._asleep[future] = None
        try:
            await future
        finally:
            self._asleep.pop(future, None)

    def _wake(self) -> None:
        asleep, self._asleep = self._asleep, {}
        for future in asleep:
            if not future.done():
                future.set_result(None)


def _below(change: Change, prefix: str) -> Change | None:
    values = {key: value for key, value in change.values.items() if key.startswith(prefix)}
    if len(values) == len(change.values):
        return change
    return Change(revision=change.revision, values=values) if values else None


def _size_bytes(change: Change) -> int:
    return sum(len(key) + len(value or b"") for key, value in change.values.items())

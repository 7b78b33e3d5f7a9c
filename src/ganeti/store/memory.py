"""The store in memory, on the time of its loop and with faults on demand: what simulation and tests run on.

Deterministic: no thread, no clock but the loop's, no chance but the one it is given. A `MemoryDisk` is what
survives a crash; a `MemoryStore` is one process's handle on it. What a caller may see, including how an outcome
can be unknown, is what `sqlite` and an engine over the network may show; one conformance suite holds them all.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, Self, assert_never

import msgspec

from ganeti.base.errors import Unavailable
from ganeti.contract.store import ABSENT, Change, Conflict, Entry, OutcomeUnknown, Revision, Snapshot, Txn
from ganeti.store.feed import KEEP_BYTES, KEEP_CHANGES, Feed
from ganeti.store.transaction import Effect, check, effect


class Rival(msgspec.Struct, frozen=True):
    """Somebody else writes one of the keys that the commit expects (same value, new revision): a true conflict.

    Without effect on a commit that expects no key that is there.
    """


class Stall(msgspec.Struct, frozen=True):
    """The commit, and with it its whole batch, takes this much longer."""

    seconds: float = 30.0


class LostAnswer(msgspec.Struct, frozen=True):
    """The caller gets `OutcomeUnknown`."""

    done: bool


class Refusal(msgspec.Struct, frozen=True):
    """The caller gets `Unavailable`; nothing changed."""


class Crash(msgspec.Struct, frozen=True):
    """The handle dies at this commit, before or after it is durable."""

    done: bool


Fault = Rival | Stall | LostAnswer | Refusal | Crash


class Faults:
    """What goes wrong, and when: scripted faults first, then by chance.

    `odds` maps a fault to its probability per commit; their sum is at most 1. A commit takes `commit_s`, between
    the two, drawn from `rng` as well.
    """

    def __init__(
        self,
        rng: random.Random | None = None,
        *,
        odds: Mapping[Fault, float] | None = None,
        commit_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.rng = rng or random.Random(0)
        self.odds = dict(odds or {})
        """May be changed at any time."""
        self._commit_s = commit_s
        self._script: deque[Fault | None] = deque()
        self.down = False
        """While true, everything is `Unavailable`."""

    def script(self, *faults: Fault | None) -> None:
        """What the next commits meet, one each; None is no fault."""
        self._script.extend(faults)

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self._script.clear()
        self.odds, self.down = {}, False

    def draw(self) -> Fault | None:
        """The fault of the next commit."""
        if self._script:
            return self._script.popleft()
        point = self.rng.random() if self.odds else 1.0
        for fault, odds in self.odds.items():
            if point < odds:
                return fault
            point -= odds
        return None

    def commit_s(self) -> float:
        """How long the next batch takes."""
        return self.rng.uniform(*self._commit_s) if self._commit_s != (0.0, 0.0) else 0.0


class MemoryDisk:
    """What survives: entries and revision.

    One handle at a time is open on it, as on a file; `shared` ones are open side by side, as on an engine over the
    network, and every one sees what the others write.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = Revision(0)
        self.shared = shared
        self.handles: dict[MemoryStore, None] = {}

    def revision_of(self, key: str) -> Revision:
        """The revision of a key, or `ABSENT`."""
        entry = self.entries.get(key)
        return ABSENT if entry is None else entry.revision

    def apply(self, changes: Effect) -> Change | None:
        """Write it down as the next revision and tell who watches; None when nothing changes."""
        if not changes:
            return None
        self.revision = Revision(self.revision + 1)
        for key, value in changes.items():
            if value is None:
                del self.entries[key]
            else:
                self.entries[key] = Entry(value, self.revision)
        change = Change(revision=self.revision, values=changes)
        for handle in self.handles:
            handle.feed.publish(change)
        return change


class _Waiting(NamedTuple):
    txn: Txn
    answer: asyncio.Future[Revision]


class _Flight(NamedTuple):
    commits: list[tuple[_Waiting, Fault | None]]
    landing: asyncio.Handle


class MemoryStore:
    """See `contract.store.Store`. Made by `open`."""

    def __init__(self, disk: MemoryDisk, faults: Faults, feed: Feed) -> None:
        self._disk = disk
        self._faults = faults
        self.feed = feed
        self._waiting: deque[_Waiting] = deque()
        self._flight: _Flight | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._closing = False
        self._dead: str | None = None

    @classmethod
    async def open(
        cls,
        disk: MemoryDisk,
        *,
        faults: Faults | None = None,
        keep_changes: int = KEEP_CHANGES,
        keep_bytes: int = KEEP_BYTES,
    ) -> Self:
        """A handle on the disk. `Unavailable` while another one is open, unless the disk is shared."""
        if disk.handles and not disk.shared:
            raise Unavailable("the store is in use by another process")
        feed = Feed(disk.revision, keep_changes=keep_changes, keep_bytes=keep_bytes)
        store = cls(disk, faults or Faults(), feed)
        disk.handles[store] = None
        return store

    async def read(self, prefix: str = "") -> Snapshot:
        """See `Store.read`."""
        self._check_up()
        entries = {key: entry for key, entry in sorted(self._disk.entries.items()) if key.startswith(prefix)}
        return Snapshot(revision=self._disk.revision, entries=entries)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        self._check_up()
        return self._disk.entries.get(key)

    async def commit(self, txn: Txn) -> Revision:
        """See `Store.commit`."""
        check(txn)
        self._check_up()
        waiting = _Waiting(txn, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flight is None:
            # An empty flight: what is committed in the same turn of the loop comes along with the next.
            self._flight = _Flight([], asyncio.get_running_loop().call_soon(self._land))
        return await waiting.answer

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Change]:
        """See `Store.watch`. Changes from before the handle was opened are compacted."""
        return self.feed.watch(prefix, after)

    async def close(self) -> None:
        """Finish the commits that wait and give the disk back. Harmless when repeated, or after a crash."""
        self._closing = True
        if self._flight is not None:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        self._die("the store is closed")

    def crash(self) -> None:
        """The process dies now. Of the batch under way a first part, by chance, was made durable."""
        flight = self._flight
        self._die("the process that held the store died")
        if flight is None:
            return
        for waiting, _ in flight.commits[: self._faults.rng.randint(0, len(flight.commits))]:
            if not waiting.answer.cancelled():
                self._write_in_silence(waiting.txn)
        self._disown(flight.commits)

    def _check_up(self) -> None:
        if self._dead is not None:
            raise Unavailable(self._dead)
        if self._closing:
            raise Unavailable("the store is closed")
        if self._faults.down:
            raise Unavailable("the store does not answer")

    def _take_off(self) -> None:
        loop = asyncio.get_running_loop()
        commits: list[tuple[_Waiting, Fault | None]] = []
        takes_s = self._faults.commit_s()
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.answer.done():  # its caller was cancelled
                continue
            fault = self._faults.draw()
            if isinstance(fault, Stall):
                takes_s += fault.seconds
            commits.append((waiting, fault))
        if commits:
            landing = loop.call_later(takes_s, self._land) if takes_s > 0 else loop.call_soon(self._land)
            self._flight = _Flight(commits, landing)
            return
        self._flight = None
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()

    def _land(self) -> None:
        assert self._flight is not None, "a landing is cancelled with its flight"
        commits = self._flight.commits
        for index, (waiting, fault) in enumerate(commits):
            if isinstance(fault, Crash):
                self._die("the process that held the store died")
                if fault.done:
                    self._write_in_silence(waiting.txn)
                self._disown(commits[index:])
                return
            try:
                revision = self._carry_out(waiting.txn, fault)
            except (Conflict, Unavailable) as error:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            else:
                if not waiting.answer.done():
                    waiting.answer.set_result(revision)
        self._take_off()

    def _carry_out(self, txn: Txn, fault: Rival | Stall | LostAnswer | Refusal | None) -> Revision:
        match fault:
            case Rival():
                self._meddle(txn)
            case LostAnswer(done=False):
                raise OutcomeUnknown("the store did not answer a commit")
            case Refusal():
                raise Unavailable("the store does not answer")
            case LostAnswer() | Stall() | None:
                pass
            case _:
                assert_never(fault)
        if self._faults.down:
            raise Unavailable("the store does not answer")
        _ = self._disk.apply(effect(txn, self._disk.revision_of))
        if isinstance(fault, LostAnswer):
            raise OutcomeUnknown("the store did not answer a commit")
        return self._disk.revision

    def _meddle(self, txn: Txn) -> None:
        for key in txn.expect:
            entry = self._disk.entries.get(key)
            if entry is not None:
                _ = self._disk.apply({key: entry.value})
                return

    def _write_in_silence(self, txn: Txn) -> None:
        """Durable, but nobody who would be answered is alive."""
        try:
            _ = self._disk.apply(effect(txn, self._disk.revision_of))
        except Conflict:
            return  # and so it changes nothing

    def _die(self, reason: str) -> None:
        if self._dead is not None:
            return
        self._dead = reason
        self.feed.end(reason)
        self._disk.handles.pop(self, None)
        if self._flight is not None:
            self._flight.landing.cancel()
            self._flight = None
        self._disown([(waiting, None) for waiting in self._waiting])
        self._waiting.clear()
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()

    def _disown(self, commits: list[tuple[_Waiting, Any]]) -> None:
        for waiting, _ in commits:
            if not waiting.answer.done():
                waiting.answer.set_exception(OutcomeUnknown("the process that held the store died"))

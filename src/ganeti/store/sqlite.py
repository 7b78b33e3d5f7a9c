"""The embedded store: one SQLite file, group commit, changes in memory for who watches.

All transactions that wait when a batch begins share one SQLite transaction and so one fsync, in the order they
came. One that conflicts fails alone: it is checked against the batch before it writes. A change costs what it
changes, not what the cluster holds.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Self

from ganeti.base.errors import Unavailable
from ganeti.contract.store import ABSENT, Change, Conflict, Entry, Revision, Snapshot, Txn
from ganeti.store.database import Database, Schema
from ganeti.store.feed import KEEP_BYTES, KEEP_CHANGES, Feed
from ganeti.store.transaction import check, effect

MAX_WAITING: Final = 10_000
"""Commits that may wait at a time; more are refused as `Unavailable`."""

MAX_BATCH: Final = 1_000
"""Commits in one SQLite transaction: bounds the wait of the first for the last."""

SCHEMA: Final = Schema(
    holds="store",
    application_id=0x676E7431,
    version=1,
    statements=(
        "CREATE TABLE entries (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL)",
        "CREATE TABLE head (revision INTEGER NOT NULL)",
        "INSERT INTO head VALUES (0)",
    ),
)


class _Waiting(NamedTuple):
    txn: Txn
    answer: asyncio.Future[Revision]


class _Applied(NamedTuple):
    answers: list[Revision | Conflict]
    changes: list[Change]


class SqliteStore:
    """See `contract.store.Store`; one loop uses it. Made by `open`.

    A commit whose caller is cancelled before its batch began does not happen; later, it may.
    """

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._idle: list[asyncio.Future[None]] = []
        self._closed = False
        self.batches = 0
        """SQLite transactions since it was opened: what commits really cost."""

    @classmethod
    async def open(
        cls,
        path: str,
        *,
        create: bool = True,
        keep_changes: int = KEEP_CHANGES,
        keep_bytes: int = KEEP_BYTES,
        busy_s: float = 5.0,
    ) -> Self:
        """Open or create the file; see `Database.open`. `keep_*` bound the history for watchers."""
        database = await Database.open(path, SCHEMA, create=create, busy_s=busy_s)
        try:
            revision = await database.read(_head)
        except BaseException:
            await database.close()
            raise
        return cls(database, Feed(revision, keep_changes=keep_changes, keep_bytes=keep_bytes))

    async def read(self, prefix: str = "") -> Snapshot:
        """See `Store.read`."""
        self._check_open()
        return await self._database.read(functools.partial(_snapshot, prefix))

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        self._check_open()
        return await self._database.read(functools.partial(_entry, key))

    async def commit(self, txn: Txn) -> Revision:
        """See `Store.commit`."""
        check(txn)
        self._check_open()
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING} commits wait for {self._database.path} already: it is too slow")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(txn, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._begin)  # not at once: commits of the same turn of the loop come along
        return await waiting.answer

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Change]:
        """See `Store.watch`. Changes from before the store was opened are compacted."""
        return self._feed.watch(prefix, after)

    async def close(self) -> None:
        """Finish the commits that wait, then release the file. Harmless when repeated."""
        self._closed = True
        if self._busy:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        self._feed.end(f"{self._database.path} is closed")
        await self._database.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"{self._database.path} is closed", path=self._database.path)

    def _begin(self) -> None:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MAX_BATCH:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():  # else its caller was cancelled
                batch.append(waiting)
        if not batch:
            self._busy = False
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()
            return
        self.batches += 1
        work = self._database.start(functools.partial(_apply, [waiting.txn for waiting in batch]))
        work.add_done_callback(functools.partial(self._finish, batch))

    def _finish(self, batch: list[_Waiting], work: asyncio.Future[_Applied]) -> None:
        error = work.exception()
        if error is not None:
            for waiting in batch:
                _fail(waiting.answer, error)
            if self._database.broken is not None:
                self._feed.end(self._database.broken)
        else:
            applied = work.result()
            for change in applied.changes:
                self._feed.publish(change)
            for waiting, answer in zip(batch, applied.answers, strict=True):
                if isinstance(answer, Conflict):
                    _fail(waiting.answer, answer)
                elif not waiting.answer.done():
                    waiting.answer.set_result(answer)
        self._begin()


def _fail(answer: asyncio.Future[Revision], error: BaseException) -> None:
    if answer.done():
        return
    mine = error
    if isinstance(error, Unavailable):
        # Each caller gets one of its own: a traceback grows wherever its error is raised again.
        mine = type(error)(error.message, **error.facts)
        mine.__cause__ = error.__cause__
    answer.set_exception(mine)


# What follows runs in the thread of the database.


def _head(connection: sqlite3.Connection) -> Revision:
    (revision,) = connection.execute("SELECT revision FROM head").fetchone()
    return Revision(revision)


def _entry(key: str, connection: sqlite3.Connection) -> Entry | None:
    row = connection.execute("SELECT value, revision FROM entries WHERE key = ?", (key,)).fetchone()
    return None if row is None else Entry(*row)


def _snapshot(prefix: str, connection: sqlite3.Connection) -> Snapshot:
    sql, bounds = "SELECT key, value, revision FROM entries WHERE key >= ?", [prefix]
    end = _after_all(prefix)
    if end is not None:
        sql += " AND key < ?"
        bounds.append(end)
    sql += " ORDER BY key"
    entries = {key: Entry(value, Revision(revision)) for key, value, revision in connection.execute(sql, bounds)}
    return Snapshot(revision=_head(connection), entries=entries)


def _after_all(prefix: str) -> str | None:
    """The first string after all that begin with `prefix`, in code point order; None when there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)  # surrogates are no text


def _apply(txns: Sequence[Txn], connection: sqlite3.Connection) -> _Applied:
    def revision_of(key: str) -> Revision:
        row = connection.execute("SELECT revision FROM entries WHERE key = ?", (key,)).fetchone()
        return ABSENT if row is None else Revision(row[0])

    head = _head(connection)
    applied = _Applied([], [])
    for txn in txns:
        try:
            changes = effect(txn, revision_of)
        except Conflict as conflict:
            applied.answers.append(conflict)
            continue
        if changes:
            head = Revision(head + 1)
            for key, value in changes.items():
                write(connection, key, value, head)
            applied.changes.append(Change(revision=head, values=changes))
        applied.answers.append(head)
    if applied.changes:
        connection.execute("UPDATE head SET revision = ?", (head,))
    return applied


def write(connection: sqlite3.Connection, key: str, value: bytes | None, revision: Revision) -> None:
    """One key as it is from that revision on; None takes it away."""
    if value is None:
        connection.execute("DELETE FROM entries WHERE key = ?", (key,))
    else:
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
            (key, value, revision),
        )

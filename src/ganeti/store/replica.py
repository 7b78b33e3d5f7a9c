"""A master candidate's copy of the store: the same file with the same revisions, so that it can become the store.

It is changed only by what the master sends: changes in their order, or the whole anew. Opened when first used.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Self

from ganeti.base.errors import Failed
from ganeti.contract.calls.member import ReplicaState
from ganeti.contract.store import Change, Entry, Revision
from ganeti.store import sqlite
from ganeti.store.database import Database

LINEAGE_KEY: Final = "lineage"
"""In the store: a random word that every master failover writes anew. Copies with equal ones have one history."""


class Replica:
    """The copy at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._database: Database | None = None
        self._opening = asyncio.Lock()
        self._parts: dict[str, Entry] = {}
        self._next_part = 0

    async def state(self) -> ReplicaState:
        """How far it goes; revision 0 when there is none yet."""
        if self._database is None and not _exists(self.path):
            return ReplicaState(revision=Revision(0))
        return await (await self._open()).read(_state)

    async def append(self, after: Revision, changes: Sequence[Change]) -> ReplicaState:
        """Apply what follows revision `after`; where the copy is elsewhere nothing is changed. Returns how far it goes."""
        return await (await self._open()).transaction(functools.partial(_append, after, changes))

    async def replace(self, revision: Revision, part: int, *, last: bool, entries: Mapping[str, Entry]) -> ReplicaState:
        """Take one part of a whole; with the last one it becomes the copy. `Failed` when a part is missing."""
        if part == 0:
            self._parts, self._next_part = {}, 0
        if part != self._next_part:
            raise Failed(f"part {part} of a copy of the store came, and part {self._next_part} is missing")
        self._parts.update(entries)
        self._next_part += 1
        if not last:
            return await self.state()
        parts, self._parts, self._next_part = self._parts, {}, 0
        return await (await self._open()).transaction(functools.partial(_replace, revision, parts))

    async def close(self) -> None:
        """Release the file. Harmless when repeated; what comes later opens it again."""
        async with self._opening:
            if self._database is not None:
                await self._database.close()
                self._database = None

    async def remove(self) -> None:
        """Let there be no copy."""
        await self.close()
        for suffix in ("", "-wal", "-shm", ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.path}{suffix}")

    async def _open(self) -> Database:
        async with self._opening:
            if self._database is not None and self._database.broken is not None:
                await self._database.close()
                self._database = None
            if self._database is None:
                self._database = await Database.open(self.path, sqlite.SCHEMA)
            return self._database

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _exists(path: str) -> bool:
    return os.path.exists(path)


def peek(path: str) -> ReplicaState | None:
    """How far a store or copy goes that somebody may have open; None when it cannot be told. Blocking."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)) as connection:
            return _state(connection)
    except sqlite3.Error:
        return None


def peek_entries(path: str) -> dict[str, bytes]:
    """Keys and values of a store or copy that somebody may have open. `Failed` when it cannot be read. Blocking."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as connection:
            return dict(connection.execute("SELECT key, value FROM entries WHERE key NOT LIKE 'job/%'"))
    except sqlite3.Error as error:
        raise Failed(f"cannot read {path}: {error}", path=path) from error


# What follows runs in the thread of the database.


def _state(connection: sqlite3.Connection) -> ReplicaState:
    (revision,) = connection.execute("SELECT revision FROM head").fetchone()
    row = connection.execute("SELECT value FROM entries WHERE key = ?", (LINEAGE_KEY,)).fetchone()
    return ReplicaState(revision=Revision(revision), lineage=bytes(row[0]).decode() if row is not None else "")


def _append(after: Revision, changes: Sequence[Change], connection: sqlite3.Connection) -> ReplicaState:
    now = _state(connection)
    if now.revision < after:
        return now
    for change in changes:
        if change.revision <= now.revision:
            continue  # it came before, and its answer was lost
        for key, value in change.values.items():
            sqlite.write(connection, key, value, change.revision)
        connection.execute("UPDATE head SET revision = ?", (change.revision,))
    return _state(connection)


def _replace(revision: Revision, entries: Mapping[str, Entry], connection: sqlite3.Connection) -> ReplicaState:
    connection.execute("DELETE FROM entries")
    connection.executemany(
        "INSERT INTO entries VALUES (?, ?, ?)", ((key, entry.value, entry.revision) for key, entry in entries.items())
    )
    connection.execute("UPDATE head SET revision = ?", (revision,))
    return _state(connection)

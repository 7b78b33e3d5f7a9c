"""Ended jobs that nobody works on any more, outside the store so that it stays small.

A job is added here first and then removed from the store; a crash in between leaves it in both, and adding it
again is harmless.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol, Self

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.model.jobs import Job, JobId
from ganeti.store.database import Database, Schema

SCHEMA: Final = Schema(
    holds="job archive",
    application_id=0x676E7432,
    version=1,
    statements=(
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, ended_s REAL NOT NULL, job BLOB NOT NULL)",
        "CREATE INDEX jobs_by_end ON jobs (ended_s)",
    ),
)


class JobArchive(Protocol):
    """A durable collection of ended jobs by id. All methods raise `Unavailable` when it cannot be used."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Keep these, all or none; a job that is there already is replaced. Durable when it returns."""
        ...

    async def get(self, id: JobId) -> Job | None:
        """One job."""
        ...

    async def list(self, *, after_id: int = 0, limit: int = 1_000) -> tuple[Job, ...]:
        """At most `limit` jobs with ids greater than `after_id`, in order of id; page with the last id."""
        ...

    async def purge(self, before_s: float) -> int:
        """Forget the jobs that ended before that time (seconds since the epoch), and say how many."""
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


class SqliteArchive:
    """See `JobArchive`. Made by `open`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: str, *, create: bool = True, busy_s: float = 5.0) -> Self:
        """Open or create the file; see `Database.open`."""
        return cls(await Database.open(path, SCHEMA, create=create, busy_s=busy_s))

    async def add(self, jobs: Sequence[Job]) -> None:
        """See `JobArchive.add`."""
        if jobs:
            rows = [(job.id, _ended_s(job), _encode(job)) for job in jobs]
            await self._database.transaction(functools.partial(_add, rows))

    async def get(self, id: JobId) -> Job | None:
        """See `JobArchive.get`."""
        rows = await self._database.read(functools.partial(_rows, "WHERE id = ?", (id,)))
        return _decode(*rows[0]) if rows else None

    async def list(self, *, after_id: int = 0, limit: int = 1_000) -> tuple[Job, ...]:
        """See `JobArchive.list`."""
        rows = await self._database.read(
            functools.partial(_rows, "WHERE id > ? ORDER BY id LIMIT ?", (after_id, max(0, limit)))
        )
        return tuple(_decode(*row) for row in rows)

    async def purge(self, before_s: float) -> int:
        """See `JobArchive.purge`."""
        return await self._database.transaction(functools.partial(_purge, before_s))

    async def close(self) -> None:
        """See `JobArchive.close`. Harmless when repeated."""
        await self._database.close()


class MemoryArchive:
    """See `JobArchive`. What it holds survives in `jobs`, encoded: give it to the next one to simulate a restart."""

    def __init__(self, jobs: dict[int, tuple[float, bytes]] | None = None) -> None:
        self.jobs = {} if jobs is None else jobs
        self._closed = False

    async def add(self, jobs: Sequence[Job]) -> None:
        """See `JobArchive.add`."""
        self._check_open()
        self.jobs.update({job.id: (_ended_s(job), _encode(job)) for job in jobs})

    async def get(self, id: JobId) -> Job | None:
        """See `JobArchive.get`."""
        self._check_open()
        row = self.jobs.get(id)
        return None if row is None else _decode(id, row[1])

    async def list(self, *, after_id: int = 0, limit: int = 1_000) -> tuple[Job, ...]:
        """See `JobArchive.list`."""
        self._check_open()
        ids = sorted(id for id in self.jobs if id > after_id)[: max(0, limit)]
        return tuple(_decode(id, self.jobs[id][1]) for id in ids)

    async def purge(self, before_s: float) -> int:
        """See `JobArchive.purge`."""
        self._check_open()
        old = [id for id, (ended_s, _) in self.jobs.items() if ended_s < before_s]
        for id in old:
            del self.jobs[id]
        return len(old)

    async def close(self) -> None:
        """See `JobArchive.close`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the job archive is closed")


def _ended_s(job: Job) -> float:
    return job.received_timestamp if job.end_timestamp is None else job.end_timestamp


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Job)


def _decode(id: int, text: bytes) -> Job:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Failed(f"the archived job {id} cannot be read: {error}", job=id) from error


# What follows runs in the thread of the database.


def _add(rows: Sequence[tuple[int, float, bytes]], connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", rows)


def _rows(where: str, bindings: Sequence[object], connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    return connection.execute(f"SELECT id, job FROM jobs {where}", tuple(bindings)).fetchall()


def _purge(before_s: float, connection: sqlite3.Connection) -> int:
    return connection.execute("DELETE FROM jobs WHERE ended_s < ?", (before_s,)).rowcount

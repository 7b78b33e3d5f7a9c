"""What both job archives do."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.model.jobs import Job, JobId, LogEntry, OpState
from ganeti.store.archive import JobArchive, MemoryArchive, SqliteArchive

Open = Callable[[], Awaitable[JobArchive]]


@pytest.fixture(params=["sqlite", "memory"])
async def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens what was kept, as after a restart."""
    opened: list[JobArchive] = []
    jobs: dict[int, tuple[float, bytes]] = {}

    async def open_one() -> JobArchive:
        for archive in opened:
            await archive.close()
        memory = request.param == "memory"
        opened.append(MemoryArchive(jobs) if memory else await SqliteArchive.open(str(tmp_path / "archive.db")))
        return opened[-1]

    yield open_one
    for archive in opened:
        await archive.close()


def job(id: int, *, ended_s: float | None = 1_000.0) -> Job:
    op = OpState(
        input={"OP_ID": "OP_TEST_DELAY", "duration": 1.5, "nested": {"a": [1, None, "ü"]}},
        status="success",
        result=["done", {"x": 1}],
        log=(LogEntry(serial=1, time_s=12.25, kind="message", text="hello"),),
        end_timestamp=ended_s,
    )
    return Job(id=JobId(id), ops=(op,), received_timestamp=float(id), end_timestamp=ended_s)


async def test_a_job_comes_back_as_it_was(open_archive: Open) -> None:
    archive = await open_archive()
    await archive.add([job(7), job(8)])
    assert await archive.get(JobId(7)) == job(7)
    assert await archive.get(JobId(9)) is None


async def test_adding_again_is_harmless(open_archive: Open) -> None:
    archive = await open_archive()
    await archive.add([job(1), job(2)])
    await archive.add([job(2), job(3)])
    await archive.add([])
    assert await archive.list() == (job(1), job(2), job(3))


async def test_jobs_are_paged_in_order_of_id(open_archive: Open) -> None:
    archive = await open_archive()
    await archive.add([job(id) for id in (30, 4, 200, 1)])
    assert [found.id for found in await archive.list(limit=3)] == [1, 4, 30]
    assert [found.id for found in await archive.list(after_id=30, limit=3)] == [200]
    assert await archive.list(after_id=200) == ()
    assert await archive.list(limit=0) == ()


async def test_old_jobs_are_forgotten(open_archive: Open) -> None:
    archive = await open_archive()
    await archive.add([job(1, ended_s=10.0), job(2, ended_s=20.0), job(3, ended_s=30.0), job(15, ended_s=None)])
    assert await archive.purge(20.0) == 2, "a job without an end counts from its receipt"
    assert [found.id for found in await archive.list()] == [2, 3]
    assert await archive.purge(20.0) == 0


async def test_jobs_survive_a_restart(open_archive: Open) -> None:
    await (await open_archive()).add([job(1)])
    assert await (await open_archive()).list() == (job(1),)


async def test_a_closed_archive_is_unavailable(open_archive: Open) -> None:
    archive = await open_archive()
    await archive.close()
    for attempt in (archive.add([job(1)]), archive.get(JobId(1)), archive.list(), archive.purge(1.0)):
        with pytest.raises(Unavailable, match="closed"):
            await attempt


async def test_a_job_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "archive.db")
    archive = await SqliteArchive.open(path)
    await archive.add([job(5)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET job = ?", (b'{"id": "five"}',))
    connection.close()
    with pytest.raises(Failed, match="archived job 5 cannot be read"):
        await archive.get(JobId(5))
    await archive.close()

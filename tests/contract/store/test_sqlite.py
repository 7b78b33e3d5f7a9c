"""What only the engine on a real disk can show: kills, full disks, other programs, damaged files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.store import Entry, OutcomeUnknown, Revision, Txn
from ganeti.store.archive import SqliteArchive
from ganeti.store.sqlite import SqliteStore

LONG_S = 60.0

HEAVY_WRITER = """
import asyncio, sys
from ganeti.contract.store import Txn
from ganeti.store.sqlite import SqliteStore

async def write(store, n):
    for round in range(int(sys.argv[2]), 1_000_000):
        await store.commit(Txn(put={f"{n}/{round}": b"x" * 300, f"last/{n}": str(round).encode()}))
        print(n, round, flush=True)

async def main():
    store = await SqliteStore.open(sys.argv[1])
    async with asyncio.TaskGroup() as group:
        for n in range(16):
            group.create_task(write(store, n))

asyncio.run(main())
"""

HOLDER = """
import asyncio, sys
from ganeti.store.sqlite import SqliteStore

async def main():
    await SqliteStore.open(sys.argv[1])
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

FILLER = """
import asyncio, subprocess, sys
from ganeti.base.errors import Unavailable
from ganeti.contract.store import OutcomeUnknown, Txn
from ganeti.store.sqlite import SqliteStore

async def main():
    path = sys.argv[1] + "/store.db"
    store = await SqliteStore.open(path)
    filled = 0
    try:
        while True:
            await store.commit(Txn(put={f"fill/{filled:05}": b"x" * 50_000}))
            filled += 1
    except Unavailable as error:
        assert not isinstance(error, OutcomeUnknown), error
        print(error)
    before = await store.read()
    assert len(before.entries) == filled == before.revision > 5, (filled, before.revision)
    with open(sys.argv[1] + "/ballast", "r+b") as ballast:
        ballast.truncate(0)
    assert await store.commit(Txn(put={"after": b"x" * 50_000})) == filled + 1
    await store.close()
    store = await SqliteStore.open(path)
    assert (await store.read()).entries.keys() == before.entries.keys() | {"after"}
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


@pytest.fixture
async def store(path: str) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    yield store
    await store.close()


class Script:
    """A Python program that runs beside the test."""

    def __init__(self, text: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.out: IO[str] = self.process.stdout

    def kill(self) -> str:
        """Kill it and return what it still had said."""
        self.process.send_signal(signal.SIGKILL)
        rest = self.out.read()
        self.process.wait()
        self.out.close()
        return rest


@pytest.fixture
def holder(path: str) -> Iterator[Script]:
    holder = Script(HOLDER, path)
    assert holder.out.readline() == "open\n"
    yield holder
    if holder.process.poll() is None:
        holder.kill()


async def test_kill_9_amid_commits_keeps_every_acknowledged_one(path: str) -> None:
    for life in range(3):
        writer = Script(HEAVY_WRITER, path, str(life * 100_000))
        lines = [writer.out.readline() for _ in range(300 + 171 * life)]
        lines += writer.kill().splitlines(keepends=True)
        acknowledged = [line.split() for line in lines if line.endswith("\n")]
        store = await SqliteStore.open(path)
        entries = (await store.read()).entries
        assert [line for line in acknowledged if f"{line[0]}/{line[1]}" not in entries] == []
        for n in range(16):
            rounds = [int(key.split("/")[1]) for key in entries if key.startswith(f"{n}/")]
            assert int(entries[f"last/{n}"].value) in rounds, "each commit is whole"
        before = (await store.read()).revision
        assert await store.commit(Txn(put={"alive": b""})) == before + 1
        await store.close()


async def test_a_store_in_use_names_the_process_that_has_it(path: str, holder: Script) -> None:
    with pytest.raises(Unavailable, match=f"{path} is in use by process {holder.process.pid}"):
        await SqliteStore.open(path)
    holder.kill()
    await (await SqliteStore.open(path)).close()


async def test_a_backup_reads_while_commits_go_on(store: SqliteStore, path: str, tmp_path: Path) -> None:
    await store.commit(Txn(put={f"{n}": b"x" * 1_000 for n in range(500)}))
    reader, copy = sqlite3.connect(f"file:{path}?mode=ro", uri=True), sqlite3.connect(tmp_path / "copy.db")
    reader.backup(copy)
    cursor = reader.execute("SELECT key FROM entries")
    cursor.fetchone()  # a reader in the middle of its work
    for n in range(50):
        await store.commit(Txn(put={"more": str(n).encode()}))
    cursor.close()
    reader.close()
    copy.close()
    restored = await SqliteStore.open(str(tmp_path / "copy.db"))
    assert (await restored.read()).revision == 1
    assert len((await restored.read()).entries) == 500
    await restored.close()


async def test_a_program_that_writes_in_spite_of_the_lock_makes_commits_fail_not_hang(path: str) -> None:
    store = await SqliteStore.open(path, busy_s=0.05)
    intruder = sqlite3.connect(path, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="another program is writing to it") as caught:
        await store.commit(Txn(put={"a": b""}))
    assert not isinstance(caught.value, OutcomeUnknown)
    intruder.execute("ROLLBACK")
    intruder.close()
    assert await store.commit(Txn(put={"a": b""})) == 1
    await store.close()


async def test_commits_that_wait_together_share_one_transaction(store: SqliteStore) -> None:
    await asyncio.gather(*[store.commit(Txn(put={f"{n}": b""})) for n in range(500)])
    assert store.batches == 1
    await store.commit(Txn(put={"one": b""}))
    assert store.batches == 2


async def test_a_change_writes_what_changed_however_much_there_is(store: SqliteStore, path: str) -> None:
    async def written_bytes() -> int:
        before = os.path.getsize(f"{path}-wal")
        await store.commit(Txn(put={"key/00500": b"y" * 100}))
        return os.path.getsize(f"{path}-wal") - before

    await store.commit(Txn(put={f"key/{n:05}": b"x" * 100 for n in range(1_000)}))
    small = await written_bytes()
    await store.commit(Txn(put={f"more/{n:05}": b"x" * 100 for n in range(10_000)}))
    await store.commit(Txn(put={"key/00500": b"z"}))  # the log may be folded into the file here
    assert await written_bytes() <= small + 3 * 4_200, "at most a few pages more"


async def test_only_root_can_read_it(store: SqliteStore, path: str) -> None:
    await store.commit(Txn(put={"secret": b""}))
    files = [path, f"{path}-wal", f"{path}-shm", f"{path}.lock"]
    assert [oct(os.stat(file).st_mode & 0o777) for file in files] == ["0o600"] * 4


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small file system")
def test_a_full_disk_refuses_changes_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "filler.py").write_text(FILLER)
    # In a mount namespace of its own: the file system goes with the process.
    script = textwrap.dedent(f"""
        set -e
        mount -t tmpfs -o size=4m none {tmp_path}/disk
        head -c 1000000 /dev/zero > {tmp_path}/disk/ballast
        {sys.executable} {tmp_path}/filler.py {tmp_path}/disk
    """)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"cannot write to {tmp_path}/disk/store.db: database or disk is full" in done.stdout


class FailsToCommit(sqlite3.Connection):
    """A disk that gives an I/O error when the log is synced: the transaction is in the log all the same."""

    armed = False

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *arguments)
        if sql == "COMMIT" and self.armed:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"
            raise error
        return cursor


async def test_an_io_error_while_syncing_is_unknown_and_stops_the_store(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, factory=FailsToCommit, **more))
    store = await SqliteStore.open(path)
    await store.commit(Txn(put={"a": b"1"}))
    changes = store.watch("", after=Revision(1))
    monkeypatch.setattr(FailsToCommit, "armed", True)
    answers = await asyncio.gather(*[store.commit(Txn(put={f"{n}": b""})) for n in range(3)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3
    assert "SQLITE_IOERR_FSYNC" in str(answers[0])
    with pytest.raises(Unavailable, match="restart to open it again"):
        await store.get("a")
    with pytest.raises(Unavailable, match="restart to open it again"):
        await store.commit(Txn(put={"b": b""}))
    with pytest.raises(Unavailable, match="restart to open it again"):
        await anext(changes)
    await store.close()
    monkeypatch.setattr(FailsToCommit, "armed", False)
    store = await SqliteStore.open(path)
    assert await store.get("a") == Entry(b"1", Revision(1))
    await store.close()


async def test_a_write_beyond_what_the_system_allows_names_path_and_cause(path: str) -> None:
    script = """
import asyncio, resource, sys
from ganeti.base.errors import Unavailable
from ganeti.contract.store import Txn
from ganeti.store.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1])
    await store.commit(Txn(put={"kept": b"1"}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        for n in range(1_000):
            await store.commit(Txn(put={str(n): b"x" * 20_000}))
            print("acknowledged", n, flush=True)
    except Unavailable as error:
        print(f"{type(error).__name__}: {error}")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert path in done.stdout
    assert "SQLITE_IOERR" in done.stdout
    store = await SqliteStore.open(path)
    acknowledged = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("acknowledged")}
    assert acknowledged | {"kept"} <= (await store.read()).entries.keys()
    await store.close()


async def test_a_damaged_file_is_told_at_once(path: str) -> None:
    store = await SqliteStore.open(path)
    await store.commit(Txn(put={f"{n}": b"x" * 1_000 for n in range(500)}))
    await store.close()
    with open(path, "r+b") as file:
        file.seek(4_096 * 4)
        file.write(os.urandom(4_096 * 20))
    with pytest.raises(Failed, match=f"{path} is damaged .*restore it from a backup"):
        await SqliteStore.open(path)


async def test_what_is_no_database_is_left_as_it_is(path: str) -> None:
    Path(path).write_text("something else\n" * 1_000)
    with pytest.raises(Failed, match="damaged"):
        await SqliteStore.open(path)
    assert Path(path).read_text() == "something else\n" * 1_000


async def test_a_database_of_another_kind_is_left_as_it_is(path: str) -> None:
    archive = await SqliteArchive.open(path)
    await archive.close()
    with pytest.raises(Failed, match=f"{path} is not a store of Ganeti"):
        await SqliteStore.open(path)
    await (await SqliteArchive.open(path)).close()


async def test_a_newer_format_is_refused_with_the_way_out(path: str) -> None:
    await (await SqliteStore.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(Failed, match="has format 9, this version of Ganeti knows 1: use the version that wrote it"):
        await SqliteStore.open(path)


async def test_a_store_that_must_be_there_is_not_made_anew(path: str) -> None:
    with pytest.raises(Failed, match="is not there"):
        await SqliteStore.open(path, create=False)
    assert not os.path.exists(path)
    await (await SqliteStore.open(path)).close()
    await (await SqliteStore.open(path, create=False)).close()


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = f"{tmp_path}/missing/store.db"
    with pytest.raises(Unavailable, match=f"cannot open {path}: No such file or directory"):
        await SqliteStore.open(path)


async def test_an_opening_that_is_cancelled_gives_the_file_back(path: str) -> None:
    opening = asyncio.ensure_future(SqliteStore.open(path))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert opening.cancelled()
    await (await SqliteStore.open(path)).close()

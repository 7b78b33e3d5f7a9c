"""One SQLite file that keeps what it acknowledged: opening, exclusion, threads, and what an error means.

The rules of durability are here and nowhere else. WAL with synchronous=FULL: a transaction that returned has been
fsynced. One process at a time: a lock file beside the database (`PATH.lock`, flock) is held while it is open, so
readers such as a backup may look at the database itself. One thread of its own does all SQLite calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self, TypeVar

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.store import OutcomeUnknown

R = TypeVar("R")
Work = Callable[[sqlite3.Connection], R]

WAL_LIMIT_BYTES = 64 * 2**20


class Schema(NamedTuple):
    """What a file holds. `application_id` and `version` are in its header, so a wrong file is told from a right one."""

    holds: str
    application_id: int
    version: int
    statements: tuple[str, ...]


class Database:
    """An open database. Made by `open`; every method may be called from the event loop only."""

    def __init__(self, path: str, schema: Schema, *, busy_s: float) -> None:
        self.path = path
        self._schema = schema
        self._busy_s = busy_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite {os.path.basename(path)}")
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._broken: str | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: str, schema: Schema, *, create: bool = True, busy_s: float = 5.0) -> Self:
        """Open the file, or create it with mode 0600.

        Raises `Unavailable` when another process has it or the system refuses it; `Failed` when it is damaged,
        not ours, of a newer version, or (without `create`) not there. `busy_s` is the longest wait for a program
        that writes to the file in spite of the lock.
        """
        database = cls(path, schema, busy_s=busy_s)
        opening = asyncio.get_running_loop().run_in_executor(database._thread, database._open, create)
        try:
            # The thread cannot be interrupted: who is cancelled still waits for it, to close what it opened.
            await asyncio.shield(opening)
        except BaseException:
            await asyncio.wait([opening])
            await database.close()
            raise
        return database

    @property
    def broken(self) -> str | None:
        """Why nothing can be done with the file until it is opened again, if so."""
        return self._broken

    async def read(self, work: Work[R]) -> R:
        """What `work` finds in the last committed state."""
        return await self._submit(self._read, work)

    async def transaction(self, work: Work[R]) -> R:
        """Let `work` change the database, as a whole and durably. See `start` for what it raises."""
        return await self._submit(self._transaction, work)

    def start(self, work: Work[R]) -> asyncio.Future[R]:
        """As `transaction`, for who does not await. Whatever `work` raises undoes it and comes out here.

        `Unavailable`: nothing changed. `OutcomeUnknown`: the system failed while the transaction was made
        durable. Whether it is on the disk only a new recovery can tell, so nothing works until the file is
        opened again: going on could show as undone what reappears after a crash.
        """
        return self._submit(self._transaction, work)

    async def close(self) -> None:
        """Finish what was begun, give back the file and end the thread. Harmless when repeated."""
        if self._closed:
            return
        closing = self._submit(self._close)
        self._closed = True
        await closing
        self._thread.shutdown()

    def _submit(self, function: Callable[..., R], *arguments: object) -> asyncio.Future[R]:
        if self._closed:
            raise Unavailable(f"{self.path} is closed", path=self.path)
        return asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # What follows runs in the thread.

    def _open(self, create: bool) -> None:
        try:
            if not create and not os.path.exists(self.path):
                raise Failed(f"the {self._schema.holds} {self.path} is not there", path=self.path)
            self._lock = _take_lock(self.path)
            # SQLite would create it readable for all; its WAL and index take over the mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _sync_directory(os.path.dirname(os.path.abspath(self.path)))
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=self._busy_s)
            self._prepare(self._connection)
        except sqlite3.Error as error:
            if _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._damaged(str(error)) from error
            raise self._unavailable("open", error) from error
        except OSError as error:
            raise Unavailable(f"cannot open {self.path}: {error.strerror}", path=self.path) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        holds, application_id, version, statements = self._schema
        # Ask before the first change, which may be to somebody else's file.
        (found_id,) = connection.execute("PRAGMA application_id").fetchone()
        (found_version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        new = (found_id, found_version, tables) == (0, 0, 0)
        if not new and found_id != application_id:
            raise Failed(f"{self.path} is not a {holds} of Ganeti", path=self.path)
        if not new and found_version != version:
            raise Failed(
                f"the {holds} {self.path} has format {found_version}, this version of Ganeti knows {version}: "
                "use the version that wrote it, or restore a backup",
                path=self.path,
                found=found_version,
                known=version,
            )
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise Failed(f"the file system of {self.path} cannot hold a write-ahead log", path=self.path)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
        if new:
            connection.execute("BEGIN IMMEDIATE")
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={application_id}")
            connection.execute(f"PRAGMA user_version={version}")
            connection.execute("COMMIT")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self._damaged(verdict.splitlines()[-1])
        try:
            # What is read from now on is also on the disk, even if it was left by a process that could not sync it.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            if _primary(error) != sqlite3.SQLITE_FULL:
                raise
            # The log stays and is read from: on a full disk the cluster can still be looked at.

    def _usable(self) -> sqlite3.Connection:
        if self._broken is not None:
            raise Unavailable(self._broken, path=self.path)
        assert self._connection is not None, "only an open database is handed out"
        return self._connection

    def _read(self, work: Work[R]) -> R:
        connection = self._usable()
        try:
            return work(connection)
        except sqlite3.Error as error:
            raise self._unavailable("read", error) from error

    def _transaction(self, work: Work[R]) -> R:
        connection = self._usable()
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
        except sqlite3.Error as error:
            self._roll_back(connection)
            raise self._unavailable("write to", error) from error
        except BaseException:
            self._roll_back(connection)
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # A full disk stops the log before the commit is whole; a busy one before it is begun. After any other
            # error the commit may be in the log, unsynced.
            if _primary(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                self._roll_back(connection)
                raise self._unavailable("write to", error) from error
            self._broken = f"{self.path} failed while it was written ({_cause(error)}): restart to open it again"
            raise OutcomeUnknown(self._broken, path=self.path) from error
        return result

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # SQLite does it by itself after some errors
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"{self.path} failed while a change was undone ({_cause(error)}): restart to open it again"

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                # A broken file cannot be tidied up; what was acknowledged is in its log.
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        finally:
            if lock is not None:
                os.close(lock)

    def _unavailable(self, verb: str, error: sqlite3.Error) -> Unavailable:
        return Unavailable(f"cannot {verb} {self.path}: {_cause(error)}", path=self.path)

    def _damaged(self, detail: str) -> Failed:
        return Failed(
            f"the {self._schema.holds} {self.path} is damaged ({detail}): restore it from a backup", path=self.path
        )


def _take_lock(path: str) -> int:
    # Beside the database, not on it: closing any handle of the file would drop SQLite's own locks in this process.
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise Unavailable(f"{path} is in use by process {holder}", path=path, holder=holder) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _cause(error: sqlite3.Error) -> str:
    if _primary(error) == sqlite3.SQLITE_BUSY:
        return "another program is writing to it"
    return f"{error} [{getattr(error, 'sqlite_errorname', type(error).__name__)}]"

"""Running programs: argument lists in, exit status and output back, always within a time limit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ganeti.base.errors import Failed

OUTPUT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Of longer output only the end is kept."""

TAIL_BYTES: Final = 16 * 1024
"""How much of a log file `Done` carries."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A program that ended. `status` is its exit status, or minus the signal that ended it."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def expect_success(self, deed: str) -> Done:
        """Return self, or raise `Failed` with the last lines the program wrote."""
        if self.status == 0:
            return self
        said = last_lines(self.stderr or self.stdout)
        raise Failed(
            f"cannot {deed}: {self.argv[0]} ended with {describe_status(self.status)}" + (f": {said}" if said else ""),
            argv=list(self.argv),
            status=self.status,
            stderr=said,
        )


def last_lines(text: str, count: int = 20) -> str:
    """The last lines of a program's output, as they go into an error."""
    return "\n".join(text.strip().splitlines()[-count:])


def describe_status(status: int) -> str:
    """An exit status in words: `exit status 3` or `signal SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def not_runnable(argv: Sequence[str], why: str) -> Failed:
    """The error of a program that could not be started."""
    return Failed(f"cannot run {argv[0]}: {why}", argv=list(argv))


def overdue(argv: Sequence[str], timeout_s: float, output: str) -> Failed:
    """The error of a program that was killed when its time was over; `output` is what it wrote until then."""
    said = last_lines(output)
    return Failed(
        f"{argv[0]} did not end within {timeout_s:g} s and was killed" + (f": {said}" if said else ""),
        argv=list(argv),
        timeout_s=timeout_s,
        stderr=said,
    )


class Runner(Protocol):
    """Runs programs on this host."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        output_path: str | None = None,
    ) -> Done:
        """Run `argv` to its end and return what came of it, whatever its exit status.

        `env` replaces the whole environment (None: inherit). With `output_path` stdout and stderr are appended
        to that file (made with mode 0600) and `Done` carries the end of what was added as `stdout`.

        The program gets its own session. When the limit is over, or the caller is cancelled, the whole session is
        asked to end and soon after killed; the limit raises `Failed` (with `timeout_s` among its facts). `Failed` too
        when the program does not exist or may not be executed. The end of the program counts, not that of processes
        it leaves in the background: what they write later is lost, unless it goes to `output_path`.
        """
        ...


class SystemRunner:
    """Runs real programs. Those that must be killed get `grace_s` between SIGTERM and SIGKILL to clean up."""

    def __init__(self, *, grace_s: float = 2.0) -> None:
        self._grace_s = grace_s

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        output_path: str | None = None,
    ) -> Done:
        """See `Runner.run`."""
        words = tuple(argv)
        if output_path is not None:
            return await self._run_logged(words, timeout_s, stdin, env, cwd, output_path)
        with _Capture() as out, _Capture() as err:
            process = await _start(words, stdin, env, cwd, await out.open(), await err.open())
            out.close_writer()
            err.close_writer()
            try:
                await self._ended(process, timeout_s)
            except TimeoutError:
                await asyncio.wait([out.finished, err.finished], timeout=_BACKGROUND_S)
                raise overdue(words, timeout_s, err.text() or out.text()) from None
            await asyncio.wait([out.finished, err.finished], timeout=_BACKGROUND_S)
            return Done(argv=words, status=_status(process), stdout=out.text(), stderr=err.text())

    async def _run_logged(
        self,
        words: tuple[str, ...],
        timeout_s: float,
        stdin: bytes | None,
        env: Mapping[str, str] | None,
        cwd: str,
        output_path: str,
    ) -> Done:
        try:
            log = os.open(output_path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise not_runnable(words, f"its log {output_path} cannot be written: {error.strerror}") from error
        try:
            begin = os.fstat(log).st_size
            process = await _start(words, stdin, env, cwd, log, log)
            try:
                await self._ended(process, timeout_s)
            except TimeoutError:
                raise overdue(words, timeout_s, _tail(log, begin)) from None
            return Done(argv=words, status=_status(process), stdout=_tail(log, begin), stderr="")
        finally:
            os.close(log)

    async def _ended(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        finally:
            if process.returncode is None:
                await self._end_session(process)

    async def _end_session(self, process: asyncio.subprocess.Process) -> None:
        _signal_session(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._grace_s):
                await process.wait()
        except TimeoutError:
            pass  # it had its chance
        finally:
            _signal_session(process, signal.SIGKILL)
        await process.wait()


_BACKGROUND_S: Final = 0.5
"""How long the end of the output is waited for after the program ended: only who left the pipe to others needs it."""


class _Received(asyncio.Protocol):
    def __init__(self, finished: asyncio.Future[None]) -> None:
        self.data = bytearray()
        self.finished = finished

    def data_received(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > 2 * OUTPUT_LIMIT_BYTES:
            del self.data[:-OUTPUT_LIMIT_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


class _Capture:
    """One stream of a program, read as it comes; the end of it is kept.

    Not asyncio's own pipes: their end is waited for as long as any process in the background holds them open.
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._pipe = os.fdopen(reader, "rb", buffering=0)
        self._received = _Received(asyncio.get_running_loop().create_future())
        self._transport: asyncio.ReadTransport | None = None

    def __enter__(self) -> _Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        (self._transport or self._pipe).close()

    async def open(self) -> int:
        """Begin to read; returns the descriptor that the program writes to."""
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self._received, self._pipe)
        return self._writer

    @property
    def finished(self) -> asyncio.Future[None]:
        """Done when nobody can write any more."""
        return self._received.finished

    def close_writer(self) -> None:
        """Give up our own copy of the writing end, so that the program's is the last."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def text(self) -> str:
        """What came, or the end of it."""
        return self._received.data[-OUTPUT_LIMIT_BYTES:].decode(errors="replace")


async def _start(
    words: tuple[str, ...], stdin: bytes | None, env: Mapping[str, str] | None, cwd: str, out: int, err: int
) -> asyncio.subprocess.Process:
    """Start the program in a session of its own."""
    # A file as stdin: nobody has to feed it, and a program that does not read it harms nobody.
    source = os.memfd_create("stdin", os.MFD_CLOEXEC) if stdin is not None else asyncio.subprocess.DEVNULL
    try:
        if stdin is not None:
            with open(source, "wb", closefd=False) as file:
                file.write(stdin)
            os.lseek(source, 0, os.SEEK_SET)
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=source,
            stdout=out,
            stderr=err,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        where = f" (in directory {cwd})" if not os.path.isdir(cwd) else ""
        raise not_runnable(words, f"{error.strerror}{where}") from error
    except ValueError as error:  # a NUL character among the arguments or in the environment
        raise not_runnable(words, str(error)) from error
    finally:
        if stdin is not None:
            os.close(source)


def _status(process: asyncio.subprocess.Process) -> int:
    assert process.returncode is not None
    return process.returncode


def _signal_session(leader: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to every process of a session: a shell with job control has more than one process group."""
    members = _session_members(leader.pid)
    if leader.returncode is not None and leader.pid in members:
        return  # the leader is gone and its number belongs to a stranger, which proves that the session is empty
    for pid in members:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended by itself in the meantime


def _session_members(leader: int) -> list[int]:
    members = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if int(fields[3]) == leader:
            members.append(int(name))
    return members


def _tail(log: int, begin: int) -> str:
    end = os.fstat(log).st_size
    begin = max(begin, end - TAIL_BYTES)
    return os.pread(log, end - begin, begin).decode(errors="replace") if end > begin else ""

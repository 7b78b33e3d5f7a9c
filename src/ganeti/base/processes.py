"""Running programs: argument lists in, exit status and output back, always within a time limit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ganeti.base.errors import Failed

OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024


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
        to that file and `Done` carries its tail as `stdout`. The program gets its own session; when the limit is
        over the whole session's process group is killed and `Failed` is raised. `Failed` too when the program
        does not exist or may not be executed.
        """
        ...


class SystemRunner:
    """Runs real programs."""

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
        log = open(output_path, "ab") if output_path is not None else None  # noqa: SIM115
        try:
            out = log if log is not None else asyncio.subprocess.PIPE
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                    stdout=out,
                    stderr=asyncio.subprocess.STDOUT if log is not None else asyncio.subprocess.PIPE,
                    env=dict(env) if env is not None else None,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failed(f"cannot run {words[0]}: {error.strerror}", argv=list(words)) from error
            try:
                async with asyncio.timeout(timeout_s):
                    stdout, stderr = await process.communicate(stdin)
            except TimeoutError:
                await _kill_session(process)
                tail = last_lines(_tail(output_path)) if output_path is not None else ""
                raise Failed(
                    f"{words[0]} did not end within {timeout_s:g} s and was killed" + (f": {tail}" if tail else ""),
                    argv=list(words),
                    stderr=tail,
                ) from None
            except asyncio.CancelledError:
                await _kill_session(process)
                raise
        finally:
            if log is not None:
                log.close()
        status = process.returncode if process.returncode is not None else -1
        if output_path is not None:
            return Done(argv=words, status=status, stdout=_tail(output_path), stderr="")
        return Done(argv=words, status=status, stdout=_text(stdout), stderr=_text(stderr))


async def _kill_session(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself in the meantime
    await process.wait()


def _text(data: bytes | None) -> str:
    return (data or b"")[-OUTPUT_LIMIT_BYTES:].decode(errors="replace")


def _tail(path: str | None, size: int = 16_384) -> str:
    if path is None:
        return ""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""

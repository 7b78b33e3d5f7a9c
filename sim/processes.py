"""The programs of a simulated host: scripted answers, on the loop's (virtual) time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ganeti.base.files import Files
from ganeti.base.processes import OUTPUT_LIMIT_BYTES, TAIL_BYTES, Done, not_runnable, overdue


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A program that was asked for. `env` is None when it inherits."""

    argv: tuple[str, ...]
    stdin: bytes | None = None
    env: Mapping[str, str] | None = None
    cwd: str = "/"
    output_path: str | None = None
    timeout_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a program did: after `takes_s` it ended with `status`. Its output counts from the start."""

    status: int = 0
    stdout: str = ""
    stderr: str = ""
    takes_s: float = 0.0


HANGS = Outcome(takes_s=float("inf"))
"""A program that never ends by itself."""

Matches = Callable[[tuple[str, ...]], bool]
Program = Callable[[Invocation], "Outcome | Awaitable[Outcome]"]


@dataclass
class FakeRunner:
    """`Runner` without processes. Programs are told by their first argument or by a predicate over all of them.

    With `files` links are followed, the output of a program goes to its `output_path`, and a path that is no executable file there
    is refused as the operating system would do it. `calls` records everything that was asked for.
    """

    files: Files | None = None
    calls: list[Invocation] = field(default_factory=list)
    _programs: list[tuple[str | Matches, Program]] = field(default_factory=list)

    def on(self, which: str | Matches, program: Program | Outcome) -> None:
        """Say what a program does; what was said last wins."""
        chosen: Program = (lambda _: program) if isinstance(program, Outcome) else program
        self._programs.insert(0, (which, chosen))

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
        call = Invocation(argv=tuple(argv), stdin=stdin, env=env, cwd=cwd, output_path=output_path, timeout_s=timeout_s)
        self.calls.append(call)
        program = self._find(call)
        limit_s = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(limit_s):
                answer = program(call)
                outcome = await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            raise overdue(call.argv, timeout_s, "") from None
        left_s = limit_s - asyncio.get_running_loop().time()
        self._log(call, outcome)
        if outcome.takes_s > left_s:
            await asyncio.sleep(max(0.0, left_s))
            said = outcome.stdout + outcome.stderr if output_path is not None else outcome.stderr or outcome.stdout
            raise overdue(call.argv, timeout_s, said)
        await asyncio.sleep(outcome.takes_s)
        if output_path is not None:
            said = (outcome.stdout + outcome.stderr)[-TAIL_BYTES:]
            return Done(argv=call.argv, status=outcome.status, stdout=said, stderr="")
        return Done(
            argv=call.argv,
            status=outcome.status,
            stdout=outcome.stdout[-OUTPUT_LIMIT_BYTES:],
            stderr=outcome.stderr[-OUTPUT_LIMIT_BYTES:],
        )

    def _find(self, call: Invocation) -> Program:
        name = call.argv[0]
        if any("\0" in text for text in (*call.argv, *(call.env or {}).values())):
            raise not_runnable(call.argv, "embedded null byte")
        if self.files is not None and self._exists(name) and not self.files.is_executable(name):
            raise not_runnable(call.argv, "Permission denied")
        names = {name} if self.files is None or not name.startswith("/") else {name, self.files.real_path(name)}
        for which, program in self._programs:
            if which in names if isinstance(which, str) else which(call.argv):
                return program
        raise not_runnable(call.argv, "No such file or directory")

    def _exists(self, program: str) -> bool:
        return self.files is not None and program.startswith("/") and self.files.exists(program)

    def _log(self, call: Invocation, outcome: Outcome) -> None:
        if call.output_path is None or self.files is None:
            return
        try:
            self.files.append(call.output_path, (outcome.stdout + outcome.stderr).encode())
        except OSError as error:
            raise not_runnable(call.argv, f"its log {call.output_path} cannot be written: {error.strerror}") from error

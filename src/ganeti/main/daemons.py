"""`ganeti-daemons`: start, stop and look at the daemons of this host. What init scripts and `gnt-cluster init` use.

A daemon's own start returns when it serves, and says why when it cannot (`ganeti.main.daemon`); here is the order:
the node daemon first, the master daemon only where the master is, stopping in reverse.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ganeti.base.errors import ENVIRONMENT, Failed, GanetiError, Refused
from ganeti.base.files import Files, SystemFiles
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner, describe_status, last_lines
from ganeti.base.retry import attempts
from ganeti.client.master import Master
from ganeti.main.daemon import EXIT_FAILURE, EXIT_NODE_NOT_SET_UP, EXIT_NOT_MASTER, running_pid
from ganeti.main.traces import Traces

EXIT_NOT_RUNNING: Final = 3
"""What `status` ends with when a daemon that should run does not (as init scripts do)."""

START_WITHIN_S: Final = 120.0
STOP_WITHIN_S: Final = 60.0


class Service(NamedTuple):
    """A daemon as this command knows it."""

    short: str
    only_on_master: bool = False

    @property
    def program(self) -> str:
        """The name of its program."""
        return f"ganeti-{self.short}"


SERVICES: Final = (Service("noded"), Service("masterd", only_on_master=True))
"""In the order in which they start."""


class Daemons:
    """The daemons of one host. `say` gets a line for each thing done; `program_at` finds the programs."""

    def __init__(
        self,
        *,
        paths: Paths,
        runner: Runner,
        files: Files,
        say: Callable[[str], None],
        program_at: Callable[[str], Sequence[str]] | None = None,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:
        self._paths, self._runner, self._files, self._say = paths, runner, files, say
        self._program_at = program_at or installed_program
        self._stop_within_s = stop_within_s

    def is_master(self) -> bool:
        """Whether the settings name this node as the master. `Refused` when the host is in no cluster."""
        try:
            settings = json.loads(self._files.read(self._paths.node_settings))
        except FileNotFoundError:
            raise Refused(
                ENVIRONMENT,
                f"this host is in no cluster ({self._paths.node_settings} is not there); "
                "'gnt-cluster init NAME' makes one",
            ) from None
        except ValueError as error:
            raise Failed(f"cannot read {self._paths.node_settings}: {error}") from error
        return bool(settings["master_name"] == settings["node_name"])

    async def start(self, services: Sequence[Service]) -> None:
        """Make them run and serve. `Failed` with the daemon's own words; those started before it stay."""
        for service in services:
            pid = running_pid(self._paths, service.program)
            if pid is not None:
                self._say(f"{service.program} runs already (pid {pid})")
                continue
            done = await self._runner.run(self._program_at(service.program), timeout_s=START_WITHIN_S)
            if done.status == EXIT_NOT_MASTER and service.only_on_master and len(services) > 1:
                # Superseded while this host was away: that is no failure of a host that boots.
                self._say(last_lines(done.stderr))
                return
            if done.status != 0:
                raise Failed(
                    f"{service.program} does not start: "
                    + (last_lines(done.stderr) or f"it ended with {describe_status(done.status)}"),
                    argv=list(done.argv),
                    status=done.status,
                )
            if service.only_on_master:
                await self._wait_for_master()
            self._say(f"{service.program} started (pid {running_pid(self._paths, service.program)})")
        if any(service.only_on_master for service in services):
            # After its start: a host that was superseded meanwhile is refused, and must not take the address.
            await self._ensure_addresses()

    async def stop(self, services: Sequence[Service], *, idle_is_news: bool = True) -> None:
        """Make them not run, the last started first. One that does not end in time is killed, and that is said."""
        for service in reversed(services):
            pid = running_pid(self._paths, service.program)
            if pid is None:
                if idle_is_news:
                    self._say(f"{service.program} does not run")
                continue
            if await self._ended(service, pid, signal.SIGTERM, self._stop_within_s):
                self._say(f"{service.program} stopped")
            elif await self._ended(service, pid, signal.SIGKILL, self._stop_within_s):
                self._say(f"{service.program} did not stop within {self._stop_within_s:g} s and was killed")
            else:
                raise Failed(f"{service.program} (pid {pid}) cannot be stopped, not even killed", pid=pid)

    def status(self, services: Sequence[Service]) -> bool:
        """Say of each whether it runs and answers; True when all do."""
        fine = True
        for service in services:
            pid = running_pid(self._paths, service.program)
            problem = "not running" if pid is None else self._silence() if service.only_on_master else None
            self._say(f"{service.program}: {problem or 'running'}{f' (pid {pid})' if pid is not None else ''}")
            fine = fine and problem is None
        return fine

    async def _ensure_addresses(self) -> None:
        traces = Traces(files=self._files, runner=self._runner, paths=self._paths)
        if traces.load():
            for added in await traces.ensure_addresses():
                self._say(f"address of the cluster set up: {added}")

    async def _wait_for_master(self) -> None:
        async for _ in attempts(within_s=START_WITHIN_S):
            if self._silence() is None:
                return
        raise Failed(f"ganeti-masterd was started but does not answer: {self._silence()}")

    def _silence(self) -> str | None:
        """Why the master does not answer, or None when it does."""
        master = Master(self._paths.master_socket, self._paths.node_settings)
        try:
            master.ping()
        except GanetiError as error:
            return error.message
        finally:
            master.close()
        return None

    async def _ended(self, service: Service, pid: int, number: signal.Signals, within_s: float) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True  # it ended between the look and the signal
        async for _ in attempts(within_s=within_s, longest_pause_s=0.2):
            if running_pid(self._paths, service.program) != pid:
                return True
        return False


def installed_program(name: str) -> list[str]:
    """How to run one of our programs: the one installed beside this interpreter, or the module itself."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    if os.access(beside, os.X_OK):
        return [sys.executable, beside]
    return [sys.executable, "-m", f"ganeti.main.{name.removeprefix('ganeti-')}"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command `ganeti-daemons`."""
    parser = argparse.ArgumentParser(prog="ganeti-daemons", description="Start, stop and look at the daemons.")
    parser.add_argument("deed", choices=("start", "stop", "restart", "status"), help="what to do")
    parser.add_argument(
        "daemon", nargs="?", choices=[service.short for service in SERVICES], help="only this one; without it all"
    )
    try:
        asked = parser.parse_args(argv)
    except SystemExit as end:
        # Bad usage is exit status 1 in this family of commands (spec: cli, general), argparse says 2.
        return EXIT_FAILURE if end.code else 0
    daemons = Daemons(paths=from_environment(), runner=SystemRunner(), files=SystemFiles(), say=print)
    try:
        return _run(daemons, asked.deed, asked.daemon)
    except Refused as error:
        return _fail(error.message, EXIT_NODE_NOT_SET_UP)
    except GanetiError as error:
        return _fail(error.message, EXIT_FAILURE)


def _run(daemons: Daemons, deed: str, only: str | None) -> int:
    # Stopping works whatever the settings say: what runs can be stopped.
    here = [service for service in SERVICES if deed == "stop" or daemons.is_master() or not service.only_on_master]
    chosen = [service for service in here if only in (None, service.short)]
    if not chosen:
        return _fail(f"ganeti-{only} runs on the master only, and this node is not the master", EXIT_NOT_MASTER)
    if deed != "status" and os.geteuid() != 0:
        return _fail(f"ganeti-daemons {deed} needs root", EXIT_FAILURE)
    match deed:
        case "status":
            return 0 if daemons.status(chosen) else EXIT_NOT_RUNNING
        case "start":
            asyncio.run(daemons.start(chosen))
        case "stop":
            asyncio.run(daemons.stop(chosen))
        case _:
            asyncio.run(daemons.stop(chosen))
            asyncio.run(daemons.start(chosen))
    return 0


def _fail(message: str, status: int) -> int:
    print(f"ganeti-daemons: {message}", file=sys.stderr)
    return status

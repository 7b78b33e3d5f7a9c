"""One host of a lab, seen from this machine: run programs in it, look at its files."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ganeti.base.errors import WRONG_STATE, Failed, Refused
from ganeti.base.processes import describe_status, last_lines
from ganeti.lab import groups
from ganeti.lab.disk import PATH
from ganeti.lab.plan import HostPlan
from ganeti.lab.record import HostState, Record

ENVIRONMENT: Final = {
    "PATH": PATH,
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
}
"""What a program in a host finds in its environment unless told otherwise."""

_JOIN: Final = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'
"""For the shell: move into the groups named before `--`, and become the command after it."""


class Host:
    """A host by its plan; whether it is on is looked up each time."""

    def __init__(self, record: Record, plan: HostPlan) -> None:
        self._record = record
        self._plan = plan
        self.name = plan.name
        self.fqdn = plan.fqdn
        self.address = plan.address
        self.secondary_address = plan.cables[1].address.partition("/")[0] if len(plan.cables) > 1 else None

    def state(self) -> HostState:
        """What is written down of it."""
        return self._record.load().hosts[self.name]

    def is_on(self) -> bool:
        """Whether its first process runs."""
        return self.state().running()

    @property
    def pid(self) -> int:
        """Its first process in the numbering of this machine. `Refused` when it is off."""
        first = self.state().first
        if first is None or not first.alive():
            raise Refused(WRONG_STATE, f"{self.name} is off; 'ganeti-lab start {self.name}' boots it")
        return first.pid

    def path(self, path: str) -> Path:
        """A file of the host as this machine can open it. `Refused` when the host is off."""
        return Path(f"/proc/{self.pid}/root", path.lstrip("/"))

    @property
    def console(self) -> Path:
        """The log of its first process, over all its lives."""
        return self._record.host(self.name) / "console.log"

    def argv(self, argv: Iterable[str], *, cwd: str = "/root") -> list[str]:
        """What to run on this machine so that it runs in the host, counted to the host's control group."""
        lab = self._record.name
        trees = [tree for tree in groups.here() if tree.group(lab, self.name).exists()]
        return [
            *["sh", "-c", _JOIN, "enter", *(str(tree.entrance(lab, self.name)) for tree in trees), "--"],
            *["nsenter", f"--target={self.pid}"],
            *["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", f"--wdns={cwd}", "--", *argv],
        ]

    def popen(
        self,
        argv: Iterable[str],
        *,
        cwd: str = "/root",
        env: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a program and talk to it. A signal to the process group (`os.killpg`) reaches it."""
        return subprocess.Popen(
            self.argv(argv, cwd=cwd),
            env=ENVIRONMENT | dict(env or {}),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout_s: float = 60.0,
        input: str = "",
        cwd: str = "/root",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. `Failed` with its last words when it takes too long, or (`check`) fails."""
        process = self.popen(argv, cwd=cwd, env=env, stdin=subprocess.PIPE)
        try:
            out, said = process.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, said = process.communicate()
            raise Failed(
                f"{self.name}: {' '.join(argv)} did not end within {timeout_s:g} s and was killed: "
                + last_lines(out + said)
            ) from None
        if check and process.returncode != 0:
            raise Failed(
                f"{self.name}: {' '.join(argv)} ended with {describe_status(process.returncode)}: "
                + last_lines(out + said),
                argv=list(argv),
                status=process.returncode,
            )
        return subprocess.CompletedProcess(list(argv), process.returncode, out, said)


def inside_network(pid: int) -> list[str]:
    """What to put before a program of this machine that is to run in the network of another process."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]

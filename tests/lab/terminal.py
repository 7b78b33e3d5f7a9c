"""A program of a machine on a terminal of its own, as somebody sits in front of it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from types import TracebackType
from typing import Self

from tests.lab.cluster import BIN, Cluster

LEAVE = "\x1d"
"""ctrl-]"""


class Terminal:
    """Runs one of our commands; what it prints is kept in `said`."""

    def __init__(self, cluster: Cluster, *argv: str) -> None:
        self.said = ""
        self._own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            # Questions are asked of the controlling terminal, which is a matter of sessions.
            cluster.machine.inside(["setsid", "--ctty", "--wait", f"{BIN}/{argv[0]}", *argv[1:]]),
            env={"PATH": os.environ["PATH"], "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def press(self, text: str) -> None:
        """Press keys."""
        os.write(self._own, text.encode())

    def read_until(self, words: str, *, limit_s: float = 60.0) -> str:
        """Everything up to and with `words`; what was read is not read again."""
        deadline = time.monotonic() + limit_s
        while words not in self.said:
            if not select.select([self._own], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no '{words}' within {limit_s:g} s, but:\n{self.said}")
            try:
                self.said += os.read(self._own, 65536).decode(errors="replace").replace("\r", "")
            except OSError:
                raise AssertionError(f"ended without '{words}':\n{self.said}") from None
        before, _, self.said = self.said.partition(words)
        return before + words

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._own)


class GuestShell(Terminal):
    """A shell inside a guest, through `gnt-instance console`."""

    def __init__(self, cluster: Cluster, instance: str) -> None:
        super().__init__(cluster, "gnt-instance", "console", instance)
        self.instance = instance
        self.press("\n")
        self.read_until(f"{instance}# ")

    def ask(self, command: str) -> str:
        """What a command prints in the guest."""
        # What is typed is shown too, and wrapped: neither mark may be in it.
        self.press(f"echo 'be''gins'; {command}; echo 'e''nds'\n")
        self.read_until("begins\n")
        answer = self.read_until("ends\n").removesuffix("ends\n")
        self.read_until("# ")
        return answer.strip()

    def leave(self) -> int:
        """End the shell, then the console; its exit status."""
        self.press("exit\n")
        self.read_until("press Enter for a shell")
        self.press(LEAVE)
        return self.process.wait(timeout=60)

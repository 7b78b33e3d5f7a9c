"""What the figures are compared with: the machine's own speed at the same thing, without us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence


def ran(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Callable[[], object]:
    """Running a program to its end, its output thrown away."""

    def run() -> None:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            close_fds=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')}")

    return run


def bare_python() -> Callable[[], object]:
    """A start of this interpreter that does nothing."""
    return ran([sys.executable, "-c", "pass"])


def bare_fsync(directory: str, *, times: int = 1) -> Callable[[], object]:
    """So many writes of 4 KiB, each made durable, one after another."""
    path = f"{directory}/fsync"

    def run() -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for _ in range(times):
                os.write(handle, b"x" * 4096)
                os.fdatasync(handle)
        finally:
            os.close(handle)

    return run

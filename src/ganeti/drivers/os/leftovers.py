"""Scripts that outlived a daemon that was killed: they still write to disks that somebody else gets, or that are gone.

While a script runs, a file with its number is in `run/os-scripts`, and the path of that file in its environment,
which all its processes inherit, those in the background too. What a script leaves behind on purpose after its own end
is left alone: its file is gone by then.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.paths import Paths

VARIABLE: Final = "GANETI_OS_SCRIPT"

_END_WITHIN_S: Final = 10.0
_log: Final = Log(__name__)


class Running:
    """The scripts that run now, as files below the run directory."""

    def __init__(self, *, files: Files, paths: Paths) -> None:
        self._files = files
        self._directory = f"{paths.run}/os-scripts"
        self._started = 0

    @contextmanager
    def noted(self) -> Iterator[dict[str, str]]:
        """Note a script for as long as the context lasts; gives what goes into its environment."""
        self._started += 1
        path = f"{self._directory}/{os.getpid()}-{self._started}"
        self._files.make_dirs(self._directory)
        self._files.write(path, b"")
        try:
            yield {VARIABLE: path}
        finally:
            self._files.remove(path)

    async def end_leftovers(self) -> int:
        """End what an earlier daemon was running when it was killed; how many scripts that were.

        To be called before anything is served. `Failed` when a process cannot be ended.
        """
        names = self._files.list_dir(self._directory)
        for name in names:
            path = f"{self._directory}/{name}"
            await _end(path)
            self._files.remove(path)
            _log.warning("script of an earlier daemon ended", note=path)
        return len(names)


async def _end(mark: str) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _END_WITHIN_S
    while pids := _marked(f"{VARIABLE}={mark}".encode()):  # they may start others while we look
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself
        if loop.time() > deadline_s:
            raise Failed(f"processes {pids} of an OS script of an earlier daemon cannot be ended", pids=pids)
        await asyncio.sleep(0.02)


def _marked(entry: bytes) -> list[int]:
    """The living processes that have this entry in the environment they were started with."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                is_marked = entry in file.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked; or it has rights beyond ours, so it is not of our making
        if is_marked:
            found.append(int(name))
    return found

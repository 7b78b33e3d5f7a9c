"""QEMU processes that are ours: found in /proc by the pid file on their command line, never by a number alone.

A pid may have been given to somebody else meanwhile. So a process counts as a guest's only while its command line
says so, and a signal goes through a pidfd that was opened before that was looked at.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import NamedTuple

from ganeti.base.files import Files
from ganeti.drivers.hypervisor.kvm.runtime import Places

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class GuestProcess(NamedTuple):
    """A QEMU of ours, with what its command line tells."""

    pid: int
    name: str
    argv: tuple[str, ...]

    def option(self, name: str) -> str | None:
        """The word after the option."""
        return _word_after(self.argv, name)

    @property
    def uuid(self) -> str | None:
        """The guest's uuid."""
        return self.option("-uuid")

    @property
    def memory_mib(self) -> int:
        """What it was started with."""
        return _number(self.option("-m"))

    @property
    def vcpus(self) -> int:
        """What it was started with."""
        return _number(self.option("-smp"))


class Processes:
    """The QEMU processes of this host whose pid file is ours."""

    def __init__(self, files: Files, places: Places) -> None:
        self._files = files
        self._directory = f"{places.root}/pid/"
        self._places = places

    def find(self, name: str, *, hints: Iterable[int] = ()) -> GuestProcess | None:
        """The process of one guest: by its pid file, by the hints, else by looking through all processes."""
        for pid in (*self._pid_written(name), *hints):
            found = self._look_at(pid)
            if found is not None and found.name == name:
                return found
        return self.all().get(name)

    def all(self) -> dict[str, GuestProcess]:
        """Every process of ours by the name of its guest, also those whose files are gone."""
        found: dict[str, GuestProcess] = {}
        for entry in self._files.list_dir("/proc"):
            if not entry.isdigit():
                continue
            process = self._look_at(int(entry))
            if process is None:
                continue
            other = found.get(process.name)
            # A QEMU that is just starting shows parent and child with one command line; the pid file tells.
            if other is None or process.pid in self._pid_written(process.name) or process.pid > other.pid:
                found[process.name] = process
        return found

    def lives(self, process: GuestProcess) -> bool:
        """Whether it is still there; a zombie is not."""
        found = self._look_at(process.pid)
        return found is not None and found.name == process.name

    def kill(self, process: GuestProcess) -> None:
        """End it at once; fine when it has ended."""
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return
        try:
            if self.lives(process):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    def cpu_s(self, process: GuestProcess) -> float:
        """CPU time used so far; 0 when it is gone."""
        try:
            text = self._files.read(f"/proc/{process.pid}/stat").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def resident_mib(self, process: GuestProcess) -> int:
        """Memory it really takes; 0 when it is gone."""
        try:
            text = self._files.read(f"/proc/{process.pid}/statm")
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(text.split()[1]) * _PAGE_BYTES // 2**20

    def threads(self, process: GuestProcess) -> list[int]:
        """The ids of its threads."""
        return [int(entry) for entry in self._files.list_dir(f"/proc/{process.pid}/task")]

    def _pid_written(self, name: str) -> tuple[int, ...]:
        try:
            return (int(self._files.read(self._places.pid_file(name))),)
        except (FileNotFoundError, ValueError):
            return ()

    def _look_at(self, pid: int) -> GuestProcess | None:
        try:
            line = self._files.read(f"/proc/{pid}/cmdline")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        if b"-pidfile" not in line:
            return None
        argv = tuple(line.decode(errors="replace").rstrip("\0").split("\0"))
        path = _word_after(argv, "-pidfile") or ""
        name = path.removeprefix(self._directory)
        if name == path or not name or "/" in name:
            return None
        return GuestProcess(pid=pid, name=name, argv=argv)


def _word_after(argv: tuple[str, ...], option: str) -> str | None:
    try:
        return argv[argv.index(option) + 1]
    except (ValueError, IndexError):
        return None


def _number(word: str | None) -> int:
    first = (word or "").partition(",")[0]
    return int(first) if first.isdigit() else 0

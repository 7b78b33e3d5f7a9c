"""What is written down about a lab: its directory, who its processes are, and the lock of those who change it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, Refused, Unavailable
from ganeti.base.files import SystemFiles
from ganeti.lab.plan import LabPlan, checked_name

BASE: Final = Path("/var/tmp/ganeti-lab")
"""On a real disk: guests' images are below it, and not every kernel can do direct I/O on a tmpfs."""

LOCK_WITHIN_S: Final = 120.0

Direction = Literal["in", "out"]
"""What a partition stops: what comes to the host, or what leaves it."""


class Process(msgspec.Struct, frozen=True):
    """A process of this machine for all time: its pid, and when it was started (ticks after boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The one that has this pid now. `ProcessLookupError` when none has."""
        return cls(pid, _started(pid))

    def handle(self) -> int | None:
        """An open pidfd, or None when the process has ended."""
        try:
            handle = os.pidfd_open(self.pid)
            if _started(self.pid) == self.started and not _has_ended(handle, 0):
                return handle
        except ProcessLookupError:
            return None
        os.close(handle)
        return None

    def alive(self) -> bool:
        """Whether it still runs."""
        handle = self.handle()
        if handle is None:
            return False
        os.close(handle)
        return True

    def kill(self, *, within_s: float) -> None:
        """End it, and with the first process of a namespace all others in it; returns when they are gone."""
        handle = self.handle()
        if handle is None:
            return
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not _has_ended(handle, within_s):
                raise Failed(f"process {self.pid} was killed but is still there after {within_s:g} s", pid=self.pid)
        finally:
            os.close(handle)


class HostState(msgspec.Struct, frozen=True):
    """One host as it was last left; its first process may have ended since."""

    first: Process | None = None
    cut: tuple[Direction, ...] = ()

    def running(self) -> bool:
        """Whether the host is on."""
        return self.first is not None and self.first.alive()


class LabState(msgspec.Struct, frozen=True, kw_only=True):
    """A lab: plan and present."""

    plan: LabPlan
    number: int
    hosts: dict[str, HostState] = {}
    keeper: Process | None = None
    notes: tuple[str, ...] = ()
    """What this lab cannot do on this machine, in sentences."""


class Record:
    """The directory of one lab."""

    def __init__(self, name: str, *, base: Path = BASE) -> None:
        self.name = checked_name(name)
        self.base = base
        self.directory = base / name
        self.lock_handle: int | None = None
        """The open lock while it is held. A program that inherits it holds it too, even when its starter crashes."""
        self._files = SystemFiles()

    @property
    def keys(self) -> Path:
        """Where the ssh keys are made."""
        return self.directory / "keys"

    @property
    def shared(self) -> Path:
        """The storage that all hosts see."""
        return self.directory / "shared"

    def host(self, name: str) -> Path:
        """What belongs to one host: `disk` (where its file system is mounted), `root`, `srv`, `console.log`."""
        return self.directory / name

    def exists(self) -> bool:
        """Whether there is a lab of that name, or the remains of one."""
        return self.directory.exists()

    def load(self) -> LabState:
        """`Refused` when there is no such lab."""
        try:
            return msgspec.json.decode((self.directory / "lab.json").read_bytes(), type=LabState)
        except FileNotFoundError:
            others = names(self.base)
            raise Refused(
                WRONG_INPUT,
                f"there is no lab {self.name!r}; "
                + (f"there is {', '.join(others)}" if others else "'ganeti-lab up' makes one"),
            ) from None
        except msgspec.DecodeError as error:
            raise Failed(
                f"cannot read {self.directory}/lab.json: {error}; 'ganeti-lab down --name {self.name}' removes the lab"
            ) from error

    def save(self, state: LabState) -> None:
        """Replace what is written down."""
        self._files.write(str(self.directory / "lab.json"), msgspec.json.format(msgspec.json.encode(state)) + b"\n")

    @contextlib.contextmanager
    def create(self) -> Iterator[int]:
        """Make the directory and hold the lab's lock; yields a number that no other lab has. `Refused` if it exists."""
        self.base.mkdir(mode=0o755, exist_ok=True)
        with contextlib.ExitStack() as held:
            # Two labs that begin at once must not draw the same number; the first state is saved under this lock.
            held.enter_context(_locked(self.base))
            taken = {Record(each, base=self.base).load().number for each in names(self.base)}
            free = [number for number in range(1, 255) if number not in taken]
            if not free:
                raise Refused(WRONG_STATE, "there are 254 labs on this machine; take one down first")
            try:
                self.directory.mkdir(mode=0o700)
            except FileExistsError:
                raise Refused(
                    WRONG_STATE,
                    f"there is a lab {self.name!r} already; 'ganeti-lab down --name {self.name}' removes it, "
                    "another --name makes one beside it",
                ) from None
            self.lock_handle = held.enter_context(_locked(self.directory))
            held.callback(self._unlocked)
            yield free[0]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who changes this lab. `Refused` when there is none."""
        try:
            with _locked(self.directory) as handle:
                self.lock_handle = handle
                try:
                    yield
                finally:
                    self._unlocked()
        except FileNotFoundError:
            if self.exists():
                raise
            self.load()
            raise

    def _unlocked(self) -> None:
        self.lock_handle = None


def names(base: Path = BASE) -> list[str]:
    """The labs there are."""
    try:
        return sorted(entry.name for entry in base.iterdir() if (entry / "lab.json").exists())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[int]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline_s = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise Unavailable(
                        f"another ganeti-lab has been working on {directory} for {LOCK_WITHIN_S:g} s"
                    ) from None
                time.sleep(0.02)
        yield handle
    finally:
        os.close(handle)


def _started(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    return int(text.rpartition(")")[2].split()[19])


def _has_ended(handle: int, within_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(within_s * 1000))

"""Where the run-time state of KVM guests lives and what it says; it survives a restart of the daemon.

Layout below `run/kvm-hypervisor` (spec: drivers, "KVM"; interfaces, section 14): `pid/NAME`, `conf/NAME.runtime`,
`ctrl/NAME.{monitor,qmp,serial,qga}` sockets, `ctrl/NAME.shutdown` (the guest powered itself off), `nic/NAME/INDEX`
(the name of its tap), `chroot/NAME`.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import msgspec

from ganeti.base.errors import ENVIRONMENT, WRONG_INPUT, Refused
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.migration import Landing, Pace

Socket = Literal["monitor", "qmp", "serial", "qga"]

SOCKETS: tuple[Socket, ...] = ("monitor", "qmp", "serial", "qga")
SOCKET_PATH_LIMIT_BYTES = 107
"""What fits into `sockaddr_un` on Linux, without the final NUL."""


class TapUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The tap of one NIC."""

    index: int
    interface: str


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A guest as it was started. `phase` is `starting` until everything of it was set up.

    `incoming` is a copy that waits for its memory, or has it and may not go on yet; `sending` a guest that is being
    sent, or was. `resume`: it is to run when that is over; `landing` and `pace` say where it goes and how.
    `machine` is the full machine type: it stays the same for as long as the guest runs, also across hosts.
    """

    phase: Literal["starting", "started", "incoming", "sending"]
    guest: Guest
    disks: tuple[AttachedDisk, ...] = ()
    taps: tuple[TapUsed, ...] = ()
    argv: tuple[str, ...] = ()
    machine: str = ""
    accelerator: str = ""
    pid: int | None = None
    started_s: float = 0.0
    resume: bool = True
    landing: Landing | None = None
    pace: Pace = Pace()
    sends_memory: bool = False
    """Whether memory is being sent, or was; until then what QEMU says of migrations is about an earlier one."""
    format: int = 1


class Places(NamedTuple):
    """The files of KVM guests on one host."""

    root: str
    log: str

    @classmethod
    def of(cls, paths: Paths) -> Places:
        """The places of a host."""
        return cls(root=f"{paths.run}/kvm-hypervisor", log=f"{paths.log}/kvm")

    @property
    def directories(self) -> tuple[str, ...]:
        """All that must exist before a guest starts."""
        below = ("pid", "ctrl", "conf", "nic", "chroot")
        return (*(f"{self.root}/{name}" for name in below), self.log)

    def pid_file(self, name: str) -> str:
        """QEMU's pid; the word after `-pidfile` is also how its process is known."""
        return f"{self.root}/pid/{name}"

    def runtime(self, name: str) -> str:
        """The guest as it was started."""
        return f"{self.root}/conf/{name}.runtime"

    def shutdown_marker(self, name: str) -> str:
        """There when the guest powered itself off and that counts as its user's wish."""
        return f"{self.root}/ctrl/{name}.shutdown"

    def socket(self, name: str, kind: Socket) -> str:
        """A unix socket of QEMU. A name too long for a socket is replaced by its digest.

        `Refused` (environment_error) when the run directory alone is too long.
        """
        plain = f"{self.root}/ctrl/{name}.{kind}"
        if len(plain.encode()) <= SOCKET_PATH_LIMIT_BYTES:
            return plain
        short = f"{self.root}/ctrl/{hashlib.sha256(name.encode()).hexdigest()[:12]}.{kind}"
        if len(short.encode()) <= SOCKET_PATH_LIMIT_BYTES:
            return short
        raise Refused(
            ENVIRONMENT,
            f"the path {short} is too long for a socket; choose a shorter root directory than {self.root}",
            path=short,
        )

    def nic_dir(self, name: str) -> str:
        """Holds one file for each NIC, with the name of its tap."""
        return f"{self.root}/nic/{name}"

    def chroot(self, name: str) -> str:
        """The empty directory QEMU is locked into."""
        return f"{self.root}/chroot/{name}"

    @property
    def quarantine(self) -> str:
        """What guests left behind in their chroot."""
        return f"{self.root}/chroot-quarantine"

    def log_file(self, name: str) -> str:
        """What QEMU has to say; begun anew at each start."""
        return f"{self.log}/{name}.log"

    def serial_log(self, name: str) -> str:
        """What the guest wrote to its serial console; begun anew at each start."""
        return f"{self.log}/{name}.serial"


def check_name(name: str) -> None:
    """Raise `Refused` for a name that cannot be part of a path."""
    if not name or "/" in name or name.startswith(".") or "\0" in name or "," in name:
        raise Refused(WRONG_INPUT, f"'{name}' cannot be the name of a guest", name=name)


class Book:
    """The run-time files of guests."""

    def __init__(self, files: Files, places: Places) -> None:
        self._files = files
        self._places = places

    def load(self, name: str) -> Runtime | None:
        """What is written of a guest; None when there is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._files.read(self._places.runtime(name)), type=Runtime)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def save(self, runtime: Runtime) -> None:
        """Write, durably."""
        self._files.write(self._places.runtime(runtime.guest.name), msgspec.json.encode(runtime))

    def forget(self, name: str) -> None:
        """Remove."""
        self._files.remove(self._places.runtime(name))

    def names(self) -> list[str]:
        """All guests something is written of, readable or not."""
        found = self._files.list_dir(f"{self._places.root}/conf")
        return [name.removesuffix(".runtime") for name in found if name.endswith(".runtime") and name[0] != "."]

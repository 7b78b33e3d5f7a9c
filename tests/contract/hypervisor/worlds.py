"""The worlds that the suite of hypervisors runs in: files for the fake one, QEMU on a bridge of its own for KVM."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from ganeti.base.clock import SystemClock
from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.base.processes import SystemRunner
from ganeti.contract.guest import AttachedDisk, Guest, GuestNic
from ganeti.contract.hypervisor import Hypervisor
from ganeti.drivers.hypervisor import fake, kvm
from ganeti.drivers.hypervisor.kvm.cgroups import Groups, scope_of
from ganeti.drivers.hypervisor.kvm.runtime import Places
from ganeti.drivers.network import bridged
from ganeti.drivers.network.taps import SystemTaps
from ganeti.model.objects import Disk, Uuid
from ganeti.model.params import Param, defaults
from tests.contract.hypervisor.sector import write_disk

LIMIT_S = 60.0  # a second on an idle machine


async def until(look: Callable[[], Any | Awaitable[Any]], *, what: str, limit_s: float = LIMIT_S) -> Any:
    """Look again and again until there is something."""
    end_s = time.monotonic() + limit_s
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return seen
        assert time.monotonic() < end_s, f"{what}: not within {limit_s:g} s"
        await asyncio.sleep(0.02)


class World(Protocol):
    """A host with one hypervisor."""

    params: tuple[Param, ...]

    def driver(self) -> Hypervisor:
        """A new driver on the same host: the daemon was started again."""

    def guest(self, name: str, **changes: Any) -> Guest:
        """A guest with a disk, and with a NIC where there are NICs; hvparams are merged, other fields replaced."""

    def disks(self, guest: Guest) -> list[AttachedDisk]:
        """Its disks."""

    async def power_off(self, guest: Guest) -> None:
        """The guest shuts itself down."""

    async def boots(self, guest: Guest) -> int:
        """How often it has booted since its start."""

    def leftovers(self, guest: Guest) -> list[str]:
        """All that is there of the guest, except logs and disks."""

    def close(self) -> None:
        """Take the host away."""


def _disk(name: str) -> Disk:
    return Disk(uuid=Uuid(str(uuid.uuid5(uuid.NAMESPACE_DNS, f"disk.{name}"))), dev_type="file", size=1)


class FakeWorld:
    """Guests that are files."""

    params = fake.TRAITS.params

    def __init__(self, root: Path) -> None:
        self._paths = Paths(str(root))
        self._driver = self._new()

    def _new(self) -> fake.Driver:
        return fake.Driver(files=SystemFiles(), clock=SystemClock(), paths=self._paths)

    def driver(self) -> Hypervisor:
        self._driver = self._new()
        return self._driver

    def guest(self, name: str, **changes: Any) -> Guest:
        hvparams = defaults(self.params) | changes.pop("hvparams", {})
        fields: dict[str, Any] = {"maxmem_mib": 64, "minmem_mib": 32, "vcpus": 1, **changes}
        return Guest(name=name, uuid=str(uuid.uuid4()), hypervisor="fake", hvparams=hvparams, **fields)

    def disks(self, guest: Guest) -> list[AttachedDisk]:
        return [AttachedDisk(disk=_disk(guest.name), index=0, path=f"/srv/{guest.name}")]

    async def power_off(self, guest: Guest) -> None:
        self._driver.guest_powers_off(guest.name)

    async def boots(self, guest: Guest) -> int:
        return self._driver.boots(guest.name)

    def leftovers(self, guest: Guest) -> list[str]:
        directory = Path(self._paths.run) / "fake-hypervisor"
        return [str(path) for path in directory.glob("*") if guest.name in path.name]

    def close(self) -> None:
        """Files go with the test's directory."""


class KvmWorld:
    """QEMU without KVM, on a bridge of the test's own. Guests boot the sector."""

    params = kvm.TRAITS.params

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(str(root))
        self.places = Places.of(self.paths)
        self.bridge = f"gt{uuid.uuid4().hex[:8]}"
        self._scope = scope_of(os.uname().nodename, self.places.root)
        self._names: set[str] = set()
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("link", "set", self.bridge, "up")

    def driver(self) -> kvm.Driver:
        return kvm.Driver(
            runner=SystemRunner(),
            files=SystemFiles(),
            clock=SystemClock(),
            paths=self.paths,
            networks={"bridged": bridged.Driver()},
            taps=SystemTaps(),
        )

    def hvparams(self, **changes: Any) -> dict[str, Any]:
        return defaults(self.params) | {"kernel_path": "", "accelerator": "tcg"} | changes

    def guest(self, name: str, **changes: Any) -> Guest:
        self._names.add(name)
        hvparams = self.hvparams(**changes.pop("hvparams", {}))
        nic = GuestNic(index=0, uuid=str(uuid.uuid4()), mac=_mac(name), mode="bridged", link=self.bridge)
        fields: dict[str, Any] = {"maxmem_mib": 64, "minmem_mib": 32, "vcpus": 1, "nics": (nic,), **changes}
        return Guest(name=name, uuid=str(uuid.uuid4()), hypervisor="kvm", hvparams=hvparams, **fields)

    def disks(self, guest: Guest) -> list[AttachedDisk]:
        path = self.root / f"{guest.name}.disk"
        return [AttachedDisk(disk=_disk(guest.name), index=0, path=str(write_disk(path)))]

    async def power_off(self, guest: Guest) -> None:
        await self.until_ready(guest)
        await self.type(guest, "q")
        await until(lambda: not self.qemus(guest) or self.is_off(guest), what="power off")

    def is_off(self, guest: Guest) -> bool:
        """Whether QEMU is there with a guest that is off: nothing burns CPU and `-no-shutdown` keeps it."""
        return any("-no-shutdown" in Path(f"/proc/{pid}/cmdline").read_text() for pid in self.qemus(guest))

    async def until_ready(self, guest: Guest, boots: int = 1) -> None:
        """Until the guest has greeted that often."""
        await until(lambda: self.console(guest).count("hello") >= boots, what=f"{boots} greetings of {guest.name}")

    async def type(self, guest: Guest, text: str) -> None:
        _, writer = await asyncio.open_unix_connection(self.places.socket(guest.name, "serial"))
        writer.write(text.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def console(self, guest: Guest) -> str:
        path = Path(self.places.serial_log(guest.name))
        return path.read_text(errors="replace") if path.exists() else ""

    async def boots(self, guest: Guest) -> int:
        await self.until_ready(guest)
        return self.console(guest).count("hello")

    def qemus(self, guest: Guest) -> list[int]:
        """The processes of the guest, whatever its driver believes."""
        return self._pids_with(f"{self.places.root}/pid/{guest.name}\0")

    def taps(self, guest: Guest) -> list[str]:
        return [name for name in os.listdir("/sys/class/net") if name.startswith(f"gnt-{guest.uuid[:8]}-")]

    def groups(self, guest: Guest) -> list[str]:
        """Its control groups."""
        mounts = ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory")
        paths = [f"{mount}/ganeti/{self._scope}-{guest.name}" for mount in mounts]
        return [path for path in paths if os.path.exists(path)]

    def leftovers(self, guest: Guest) -> list[str]:
        files = [str(path) for path in Path(self.places.root).rglob("*") if guest.name in str(path)]
        return [*(f"pid {pid}" for pid in self.qemus(guest)), *self.taps(guest), *self.groups(guest), *files]

    def close(self) -> None:
        for pid in self._pids_with(f"{self.places.root}/pid/"):
            os.kill(pid, 9)
        groups = Groups(SystemFiles(), scope=self._scope)
        end_s = time.monotonic() + LIMIT_S
        while not all(groups.remove(name) for name in self._names) and time.monotonic() < end_s:
            time.sleep(0.02)
        for name in os.listdir("/sys/class/net"):
            if os.path.realpath(f"/sys/class/net/{name}/master").endswith(f"/{self.bridge}"):
                _ip("link", "del", name)
        _ip("link", "del", self.bridge)

    def _pids_with(self, words: str) -> list[int]:
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    line = Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace")
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if f"-pidfile\0{words}" in line:
                    found.append(int(entry))
        return found


def why_not_kvm() -> str:
    """Why no real guests can run on this machine; empty when they can."""
    if os.geteuid() != 0:
        return "taps and bridges need root"
    missing = [name for name in ("qemu-system-x86_64", "ip") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _mac(name: str) -> str:
    digits = uuid.uuid5(uuid.NAMESPACE_DNS, name).hex
    return f"aa:00:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"

"""CPU and memory limits of guests through control groups: version 2 where its controllers are, version 1 otherwise.

Every guest gets a group `ganeti/SCOPE-NAME`, outside the daemon's own, so that a service manager that ends the
daemon leaves the guests alone. A host without usable controllers runs guests without limits and says why.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from ganeti.base.files import Files

_PARENT: Final = "ganeti"
_PERIOD_US: Final = 100_000
_CONTROLLERS: Final = ("cpu", "memory")
_GROUP: Final = re.compile(r"[0-9a-f]{8}-")


class Limits(NamedTuple):
    """`cpus` whole CPUs at most, weighed against other guests by `weight`, and that much memory."""

    cpus: int
    weight: int
    memory_mib: int


def scope_of(nodename: str, run_directory: str) -> str:
    """What tells the groups of one daemon from those of others on the same kernel."""
    return hashlib.sha256(f"{nodename}:{run_directory}".encode()).hexdigest()[:8]


def limits_for(vcpus: int, maxmem_mib: int) -> Limits:
    """The limits of a guest. Guards of the host, not quotas: QEMU itself needs room beside the guest.

    One CPU more than the guest has is for emulated devices; the memory covers graphics, translated code (tcg) and
    buffers, and is only met by a QEMU that leaks.
    """
    return Limits(cpus=vcpus + 1, weight=vcpus, memory_mib=maxmem_mib + max(768, maxmem_mib // 4))


class Placed(NamedTuple):
    """The groups a guest is in; `problem` says what could not be limited, empty when all could."""

    groups: tuple[str, ...]
    problem: str = ""


class Groups:
    """The control groups of this host's guests. `scope` (see `scope_of`) keeps hosts apart that share one hierarchy."""

    def __init__(self, files: Files, *, scope: str) -> None:
        self._files = files
        self._scope = scope

    def place(self, name: str, pid: int, limits: Limits) -> Placed:
        """Move the process (with all its threads) into the guest's groups and set their limits."""
        unified, legacy = self._mounts()
        if unified is not None:
            try:
                return self._place_unified(unified, name, pid, limits)
            except OSError as error:
                return Placed((), f"the control group below {unified} cannot be used: {error.strerror}")
        if not legacy:
            return Placed((), "there is no control group hierarchy with the controllers cpu and memory")
        groups, problems = [], []
        for controller, mount in legacy.items():
            group = self._group(mount, name)
            try:
                self._files.make_dirs(group)
                groups.append(group)
                for knob, value in _legacy_knobs(controller, limits):
                    self._set(f"{group}/{knob}", value)
                self._set(f"{group}/cgroup.procs", str(pid))
            except OSError as error:
                problems.append(f"the {controller} group {group} cannot be used: {error.strerror}")
        return Placed(tuple(groups), "; ".join(problems))

    def pids(self, name: str) -> list[int]:
        """The processes in the guest's groups."""
        found: set[int] = set()
        for group in self._existing(name):
            try:
                found.update(int(line) for line in self._files.read(f"{group}/cgroup.procs").split())
            except FileNotFoundError:
                continue
        return sorted(found)

    def remove(self, name: str) -> bool:
        """Take the guest's groups away, and their parent after the last one.

        False while the kernel still refuses: a process is just ending, or the groups removed last are. Ask again.
        """
        gone = True
        unified, legacy = self._mounts()
        for mount in [*([unified] if unified is not None else []), *legacy.values()]:
            parent = f"{mount}/{_PARENT}"
            try:
                self._files.remove_dir(self._group(mount, name))
                if not any(_GROUP.match(entry) for entry in self._files.list_dir(parent)):
                    self._files.remove_dir(parent)
            except OSError:
                gone = False
        return gone

    def _existing(self, name: str) -> list[str]:
        unified, legacy = self._mounts()
        mounts = [*([unified] if unified is not None else []), *legacy.values()]
        groups = [self._group(mount, name) for mount in mounts]
        return [group for group in groups if self._files.exists(group)]

    def _group(self, mount: str, name: str) -> str:
        return f"{mount}/{_PARENT}/{self._scope}-{name}"

    def _place_unified(self, mount: str, name: str, pid: int, limits: Limits) -> Placed:
        parent, group = f"{mount}/{_PARENT}", self._group(mount, name)
        self._files.make_dirs(parent)
        for directory in (mount, parent):
            self._set(f"{directory}/cgroup.subtree_control", " ".join(f"+{name}" for name in _CONTROLLERS))
        self._files.make_dirs(group)
        self._set(f"{group}/cpu.max", f"{limits.cpus * _PERIOD_US} {_PERIOD_US}")
        self._set(f"{group}/cpu.weight", str(min(100 * limits.weight, 10_000)))
        self._set(f"{group}/memory.max", str(limits.memory_mib * 2**20))
        self._set(f"{group}/cgroup.procs", str(pid))
        return Placed((group,))

    def _set(self, path: str, value: str) -> None:
        if not self._files.exists(path):
            raise FileNotFoundError(2, f"{path} is not there")
        self._files.append(path, value.encode())

    def _mounts(self) -> tuple[str | None, dict[str, str]]:
        """The unified hierarchy when it has both controllers, and the older one of each controller."""
        unified: str | None = None
        legacy: dict[str, str] = {}
        for line in self._files.read("/proc/self/mounts").decode(errors="replace").splitlines():
            _, mount, kind, options, *_ = line.split(" ")
            if kind == "cgroup2" and unified is None:
                try:
                    there = self._files.read(f"{mount}/cgroup.controllers").decode().split()
                except FileNotFoundError:
                    continue
                unified = mount if set(_CONTROLLERS) <= set(there) else None
            elif kind == "cgroup":
                words = options.split(",")
                legacy.update({name: mount for name in _CONTROLLERS if name in words})
        return unified, legacy


def _legacy_knobs(controller: str, limits: Limits) -> list[tuple[str, str]]:
    if controller == "memory":
        return [("memory.limit_in_bytes", str(limits.memory_mib * 2**20))]
    return [
        ("cpu.cfs_period_us", str(_PERIOD_US)),
        ("cpu.cfs_quota_us", str(limits.cpus * _PERIOD_US)),
        ("cpu.shares", str(min(1024 * limits.weight, 262_144))),
    ]

"""Guests that are files: for trying out a cluster, for simulation, and for measuring with many of them.

State is one file for each guest in `run/fake-hypervisor`. Files, not memory, are the truth; what was read once is
kept, because only this driver writes them, and a listing looks only for names that are new or gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from ganeti.base.clock import Clock
from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, Refused
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.contract.guest import AttachedDisk, Console, Guest, GuestState, HypervisorFacts, Migration
from ganeti.contract.migration import Landing, Moving, Pace, Progress
from ganeti.model.objects import Params
from ganeti.model.params import Param
from ganeti.model.traits import HypervisorTraits

NAME: Final = "fake"

TRAITS: Final = HypervisorTraits(
    name=NAME,
    params=(
        Param(
            name="migration_mode",
            kind="string",
            default="live",
            choices=("live", "non-live"),
            cluster_only=True,
            summary="default way to migrate",
        ),
    ),
    can_migrate=True,
    real_guests=False,
)


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """A guest as its file says. `boots` counts starts and reboots, `looks` how often its sending was watched."""

    state: GuestState
    guest: Guest | None = None
    phase: Literal["", "incoming", "sending", "sent"] = ""
    resume: bool = True
    looks: int = 0
    disks: tuple[str, ...] = ()
    user_shutdown: bool = False
    started_s: float = 0.0
    boots: int = 1


class Driver:
    """The fake hypervisor of one host.

    Without `memory_total_mib` and `cpu_total` the facts are those of this machine; with them, of a made-up one.
    """

    def __init__(
        self,
        *,
        files: Files,
        clock: Clock,
        paths: Paths,
        memory_total_mib: int | None = None,
        memory_node_mib: int = 0,
        cpu_total: int | None = None,
    ) -> None:
        self._files = files
        self._clock = clock
        self._directory = f"{paths.run}/fake-hypervisor"
        self._memory_total_mib = memory_total_mib
        self._memory_node_mib = memory_node_mib
        self._cpu_total = cpu_total
        self._read: dict[str, _Written] = {}
        self.migration_looks = 2
        """For simulation: how often a sending is watched until it is over."""
        self.migration_error = ""
        """For simulation: what the next sendings end with instead."""

    async def start(self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False) -> None:
        """See `Hypervisor.start`."""
        _check_name(guest.name)
        there = self._load(guest.name)
        if there is not None and there.state.status in ("running", "paused"):
            return
        self._files.make_dirs(self._directory)
        state = GuestState(
            name=guest.name,
            hypervisor=NAME,
            status="paused" if paused else "running",
            memory_mib=guest.maxmem_mib,
            vcpus=guest.vcpus,
            uuid=guest.uuid,
        )
        self._save(
            _Written(
                state=state,
                guest=guest,
                disks=tuple(disk.uri or disk.path for disk in disks),
                user_shutdown=guest.user_shutdown and bool(guest.hvparams.get("user_shutdown", True)),
                started_s=self._clock.now_s(),
            )
        )

    async def stop(self, guest: Guest, *, force: bool, timeout_s: float) -> None:
        """See `Hypervisor.stop`. A fake guest obeys at once."""
        _check_name(guest.name)
        self._files.remove(f"{self._directory}/{guest.name}")
        self._read.pop(guest.name, None)

    async def reboot(self, guest: Guest) -> None:
        """See `Hypervisor.reboot`."""
        there = self._running(guest, "reboot")
        self._save(msgspec.structs.replace(there, boots=there.boots + 1))

    async def pause(self, guest: Guest) -> None:
        """See `Hypervisor.pause`."""
        self._change(guest, "pause", status="paused")

    async def resume(self, guest: Guest) -> None:
        """See `Hypervisor.resume`."""
        self._change(guest, "resume", status="running")

    async def balloon(self, guest: Guest, memory_mib: int) -> None:
        """See `Hypervisor.balloon`."""
        if not 0 < memory_mib <= guest.maxmem_mib:
            raise Refused(
                WRONG_INPUT,
                f"memory of {guest.name} can be from 1 to {guest.maxmem_mib} MiB (maxmem), not {memory_mib}",
                memory_mib=memory_mib,
            )
        self._change(guest, "change the memory of", memory_mib=memory_mib)

    async def state(self, name: str) -> GuestState | None:
        """See `Hypervisor.state`."""
        there = self._load(name)
        return _told(there) if there is not None else None

    async def console(self, guest: Guest, *, host: str) -> Console:
        """See `Hypervisor.console`."""
        return Console(instance=guest.name, kind="msg", message=f"{guest.name} is a fake guest: it has no console")

    async def facts(self) -> HypervisorFacts:
        """See `Hypervisor.facts`. Guests take memory as if they were real."""
        of_guests_mib = sum(written.state.memory_mib for written in self._all())
        node_mib, total_mib = self._memory_node_mib, self._memory_total_mib
        if total_mib is None:
            total_mib, available_mib = self._real_memory()
            node_mib = total_mib - available_mib
        return HypervisorFacts(
            memory_total_mib=total_mib,
            memory_free_mib=max(0, total_mib - node_mib - of_guests_mib),
            memory_node_mib=node_mib,
            cpu_total=self._cpu_total if self._cpu_total is not None else self._real_cpus(),
            version="fake",
        )

    async def check(self, hvparams: Params) -> Sequence[str]:
        """See `Hypervisor.check`."""
        return ()

    async def moving(self, guest: Guest) -> Moving:
        """See `Migrating.moving`."""
        there = self._running(guest, "move")
        return Moving(
            guest=there.guest or guest,
            machine=NAME,
            accelerator=NAME,
            version=NAME,
            memory_mib=there.state.memory_mib,
            paused=there.state.status == "paused",
        )

    async def objections_to(self, moving: Moving, *, ignore_version: bool = False) -> Sequence[str]:
        """See `Migrating.objections_to`."""
        return ()

    async def receive(
        self, moving: Moving, disks: Sequence[AttachedDisk], *, address: str, peer: str, copies_disks: bool, pace: Pace
    ) -> Landing:
        """See `Migrating.receive`. Nothing travels: the memory of such a guest is its name."""
        guest = moving.guest
        _check_name(guest.name)
        there = self._load(guest.name)
        if there is not None and there.phase != "incoming" and there.state.status in ("running", "paused"):
            raise Refused(WRONG_STATE, f"cannot receive {guest.name}: a guest of that name runs here", guest=guest.name)
        self._files.make_dirs(self._directory)
        state = GuestState(
            name=guest.name,
            hypervisor=NAME,
            status="paused",
            memory_mib=moving.memory_mib,
            vcpus=guest.vcpus,
            uuid=guest.uuid,
        )
        self._save(
            _Written(
                state=state,
                guest=guest,
                phase="incoming",
                resume=not moving.paused,
                disks=tuple(disk.uri or disk.path for disk in disks),
                user_shutdown=guest.user_shutdown and bool(guest.hvparams.get("user_shutdown", True)),
                started_s=self._clock.now_s(),
            )
        )
        return Landing(name="", host=address, port=8102, disks_port=8103 if copies_disks and disks else None)

    async def abort(self, guest: Guest) -> None:
        """See `Migrating.abort`."""
        there = self._load(guest.name)
        if there is not None and there.phase == "incoming":
            await self.stop(guest, force=True, timeout_s=0)

    async def send(self, guest: Guest, landing: Landing, pace: Pace) -> None:
        """See `Migrating.send`."""
        there = self._running(guest, "send")
        if there.phase:
            return
        resume = there.state.status == "running"
        sending = msgspec.structs.replace(there, phase="sending", resume=resume, looks=0)
        self._save(sending if pace.live else _with_state(sending, status="paused"))

    async def watch(self, guest: Guest, *, within_s: float) -> Progress:
        """See `Migrating.watch`. Each look is one step."""
        there = self._running(guest, "send")
        if there.phase == "":
            return Progress(phase="none", error=f"{guest.name} is not being sent")
        total_bytes = there.state.memory_mib * 2**20
        if there.phase == "sending" and self.migration_error:
            return Progress(phase="failed", error=self.migration_error)
        looks = there.looks + 1
        if there.phase == "sending" and looks < self.migration_looks:
            self._save(msgspec.structs.replace(there, looks=looks))
            sent_bytes = total_bytes * looks // self.migration_looks
            return Progress(phase="memory", sent_bytes=sent_bytes, total_bytes=total_bytes, rounds=looks)
        self._save(_with_state(msgspec.structs.replace(there, phase="sent", looks=looks), status="paused"))
        return Progress(phase="completed", sent_bytes=total_bytes, total_bytes=total_bytes, rounds=looks)

    async def switch(self, guest: Guest) -> None:
        """See `Migrating.switch`."""
        there = self._running(guest, "send")
        if there.phase == "":
            raise Failed(f"{guest.name} is not being sent", guest=guest.name)
        self._save(_with_state(msgspec.structs.replace(there, phase="sent"), status="paused"))

    async def keep(self, guest: Guest) -> None:
        """See `Migrating.keep`."""
        there = self._load(guest.name)
        if there is not None and there.phase in ("sending", "sent"):
            status = "running" if there.resume else "paused"
            self._save(_with_state(msgspec.structs.replace(there, phase=""), status=status))

    async def finish(self, guest: Guest, *, if_there: bool = False) -> None:
        """See `Migrating.finish`."""
        there = self._load(guest.name)
        if there is None or there.phase not in ("incoming", ""):
            if if_there:
                return
            raise Failed(f"the copy of {guest.name} that had arrived here is gone", guest=guest.name)
        if there.phase == "incoming":
            status = "running" if there.resume else "paused"
            self._save(_with_state(msgspec.structs.replace(there, phase=""), status=status))

    async def leave(self, guest: Guest) -> None:
        """See `Migrating.leave`."""
        there = self._load(guest.name)
        if there is not None and there.phase == "sent":
            await self.stop(guest, force=True, timeout_s=0)

    def guest_powers_off(self, name: str) -> None:
        """The guest shuts itself down, from the inside. For simulation and tests; nothing else calls it."""
        there = self._load(name)
        if there is not None:
            status = "user-down" if there.user_shutdown else "stopped"
            self._save(_with_state(there, status=status, memory_mib=0, vcpus=0))

    def boots(self, name: str) -> int:
        """How often the guest has booted since it was started. For simulation and tests."""
        there = self._load(name)
        return there.boots if there is not None else 0

    def disks(self, name: str) -> tuple[str, ...]:
        """The disks that the guest holds open. For simulation: its checkers look for disks with two writers."""
        there = self._load(name)
        return there.disks if there is not None else ()

    def _all(self) -> list[_Written]:
        names = [name for name in self._files.list_dir(self._directory) if not name.startswith(".")]
        if len(self._read) > len(names):
            self._read = {name: self._read[name] for name in names if name in self._read}
        loaded = [self._load(name, known_to_exist=True) for name in names]
        return [written for written in loaded if written is not None]

    async def list(self) -> list[GuestState]:
        """See `Hypervisor.list`."""
        return [_told(written) for written in self._all()]

    def _change(self, guest: Guest, deed: str, **fields: object) -> None:
        self._save(_with_state(self._running(guest, deed), **fields))

    def _running(self, guest: Guest, deed: str) -> _Written:
        there = self._load(guest.name)
        if there is None or there.state.status not in ("running", "paused"):
            raise Refused(WRONG_STATE, f"cannot {deed} {guest.name}: it does not run", guest=guest.name)
        return there

    def _load(self, name: str, *, known_to_exist: bool = False) -> _Written | None:
        path = f"{self._directory}/{name}"
        known = self._read.get(name)
        if known is not None and (known_to_exist or self._files.exists(path)):
            return known
        try:
            written = msgspec.json.decode(self._files.read(path), type=_Written)
        except (FileNotFoundError, msgspec.MsgspecError):
            self._read.pop(name, None)
            return None
        self._read[name] = written
        return written

    def _save(self, written: _Written) -> None:
        name = written.state.name
        self._files.write(f"{self._directory}/{name}", msgspec.json.encode(written))
        self._read[name] = written

    def _real_memory(self) -> tuple[int, int]:
        """(total, available) in MiB."""
        found = {"MemTotal:": 0, "MemAvailable:": 0}
        for line in self._files.read("/proc/meminfo").decode().splitlines():
            name, value, *_ = line.split()
            if name in found:
                found[name] = int(value) // 1024
        return found["MemTotal:"], found["MemAvailable:"]

    def _real_cpus(self) -> int:
        lines = self._files.read("/proc/cpuinfo").decode(errors="replace").splitlines()
        return sum(line.startswith("processor") for line in lines)


def _told(written: _Written) -> GuestState:
    told: dict[str, Migration] = {"incoming": "arrived", "sent": "sent"}
    migration = told.get(written.phase, "")
    return msgspec.structs.replace(written.state, migration=migration) if migration else written.state


def _with_state(written: _Written, **fields: object) -> _Written:
    return msgspec.structs.replace(written, state=msgspec.structs.replace(written.state, **fields))


def _check_name(name: str) -> None:
    if not name or "/" in name or name.startswith("."):
        raise Refused(WRONG_INPUT, f"'{name}' cannot be the name of a guest", name=name)

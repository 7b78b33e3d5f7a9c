"""The target's half of a migration: a QEMU that waits, lets one peer in, and goes on only when told to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from ganeti.base.errors import NO_RESOURCES, WRONG_STATE, Failed, GanetiError, Refused
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.processes import last_lines
from ganeti.base.retry import attempts
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.migration import Landing, Moving, Pace
from ganeti.drivers.hypervisor.kvm import migration_tls
from ganeti.drivers.hypervisor.kvm.devices import device_id
from ganeti.drivers.hypervisor.kvm.host import Host
from ganeti.drivers.hypervisor.kvm.launch import Launcher
from ganeti.drivers.hypervisor.kvm.leftovers import Cleaner
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Disconnected, Monitor, session
from ganeti.drivers.hypervisor.kvm.process import GuestProcess
from ganeti.drivers.hypervisor.kvm.runtime import Book, Places, Runtime

PORTS: Final = 200
"""How many ports from migration_port on are tried."""

ARRIVAL_LIMIT_S: Final = 60.0
_ARRIVAL_LIMIT_OF_DEBT_S: Final = 5.0
_ANNOUNCE: Final = {"initial": 50, "max": 550, "rounds": 5, "step": 100}
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
log = Log(__name__)


class Target:
    """Receives guests. `find` finds a guest's QEMU, `end` ends one."""

    def __init__(
        self,
        *,
        files: Files,
        places: Places,
        host: Host,
        launcher: Launcher,
        cleaner: Cleaner,
        book: Book,
        keys: migration_tls.Keys,
        find: Callable[[str], GuestProcess | None],
        end: Callable[[GuestProcess], Awaitable[None]],
    ) -> None:
        self._files = files
        self._places = places
        self._host = host
        self._launcher = launcher
        self._cleaner = cleaner
        self._book = book
        self._keys = keys
        self._find = find
        self._end = end

    async def objections_to(self, moving: Moving, *, ignore_version: bool) -> list[str]:
        """See `Migrating.objections_to`."""
        params = moving.guest.hvparams
        against = [
            f"{path} is not there, so nobody could be sure whom the guest comes from" for path in self._keys.missing()
        ]
        against += confinement(moving.guest)
        if moving.accelerator != self._host.accelerator({**params, "accelerator": moving.accelerator}):
            against.append(f"it runs with the accelerator {moving.accelerator}, which this node does not have")
        program = self._host.program(params)
        if program is None:
            return against  # said by the check of the parameters
        about = await self._host.about(program)
        kind = moving.machine.partition(",")[0]
        if kind not in about.machines:
            against.append(
                f"QEMU {about.version_text} knows no machine type {kind}, in which the guest was started on QEMU "
                f"{moving.version}; install that version or a newer one, or stop the guest and start it here"
            )
        theirs = _VERSION.match(moving.version)
        if theirs is not None and about.version < (int(theirs[1]), int(theirs[2])) and not ignore_version:
            against.append(
                f"its QEMU is {about.version_text}, older than {moving.version}, where the guest runs now; guests move to "
                "the same or a newer version (--ignore-hvversions tries it all the same)"
            )
        return against

    async def receive(
        self, moving: Moving, disks: Sequence[AttachedDisk], *, address: str, peer: str, copies_disks: bool, pace: Pace
    ) -> Landing:
        """See `Migrating.receive`."""
        guest = moving.guest
        await self.abort(guest)
        if self._find(guest.name) is not None:
            raise Refused(WRONG_STATE, f"cannot receive {guest.name}: a guest of that name runs here", guest=guest.name)
        plan = await self._launcher.plan(_thin(guest) if copies_disks else guest, disks, moving=moving)
        plan = msgspec.structs.replace(plan, guest=guest)
        for directory in self._places.directories:
            self._files.make_dirs(directory)
        await self._cleaner.clean(guest)
        try:
            runtime = await self._launcher.run(plan, paused=True)
            async with self._talk(guest.name, "receive") as monitor:
                await self._keys.give(monitor, guest.name, "server")
                await self._keys.admit(monitor, peer)
                landing = await self._listen(monitor, guest, disks, address, copies_disks=copies_disks, pace=pace)
            self._book.save(msgspec.structs.replace(runtime, phase="incoming", landing=landing, pace=pace))
        except BaseException:
            await self._abandon(guest)
            raise
        log.info("waiting for a guest", guest=guest.name, peer=peer, address=address, port=landing.port)
        return landing

    async def abort(self, guest: Guest) -> None:
        """See `Migrating.abort`."""
        runtime, process = self._book.load(guest.name), self._find(guest.name)
        if runtime is None or not _may_be_aborted(runtime):
            return
        if process is not None:
            if await self._has_gone_on(process):
                log.warning("guest has gone on here, so it stays", guest=guest.name)
                return
            await self._end(process)
        await self._cleaner.clean(guest)

    async def finish(self, guest: Guest, *, if_there: bool) -> None:
        """See `Migrating.finish`."""
        runtime, process = self._book.load(guest.name), self._find(guest.name)
        if runtime is not None and process is not None and runtime.phase == "started":
            return
        if runtime is None or process is None or runtime.phase != "incoming":
            if if_there:
                return
            raise Failed(
                f"the copy of {guest.name} that had arrived here is gone{self._said(guest.name)}", guest=guest.name
            )
        async with self._talk(guest.name, "let go on") as monitor:
            limit_s = _ARRIVAL_LIMIT_OF_DEBT_S if if_there else ARRIVAL_LIMIT_S
            if not await self._arrived(monitor, limit_s):
                if if_there:
                    return
                raise Failed(f"the memory of {guest.name} has not arrived within {limit_s:g} s", guest=guest.name)
            if runtime.landing is not None and runtime.landing.disks_port is not None:
                await self._stop_serving_disks(monitor)
            if runtime.resume:
                await monitor.execute("cont")
                await monitor.execute("announce-self", **_ANNOUNCE)
        self._book.save(msgspec.structs.replace(runtime, phase="started", landing=None, pace=Pace()))
        log.info("guest goes on here", guest=guest.name)

    async def _listen(
        self,
        monitor: Monitor,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        address: str,
        *,
        copies_disks: bool,
        pace: Pace,
    ) -> Landing:
        await configure(monitor, pace, mirrors=copies_disks)
        await monitor.execute(
            "migrate-set-parameters", tls_creds=migration_tls.CREDENTIALS, tls_authz=migration_tls.ADMITTED
        )
        ports = iter(range(guest.hvparams["migration_port"], min(65535, guest.hvparams["migration_port"] + PORTS)))
        bracketed = f"[{address}]" if ":" in address else address
        port = await _first_free(
            ports, lambda number: monitor.execute("migrate-incoming", uri=f"tcp:{bracketed}:{number}")
        )
        disks_port = None
        if copies_disks and disks:
            disks_port = await _first_free(
                ports,
                lambda number: monitor.execute(
                    "nbd-server-start",
                    addr={"type": "inet", "data": {"host": address, "port": str(number)}},
                    tls_creds=migration_tls.CREDENTIALS,
                    tls_authz=migration_tls.ADMITTED,
                ),
            )
            for disk in disks:
                name = device_id("disk", disk.disk.uuid)
                await monitor.execute(
                    "block-export-add",
                    id=f"export-{name}",
                    type="nbd",
                    node_name=name,
                    name=name,
                    writable=True,
                    # Without it a flush of the guest would not reach this disk: mirrors do not pass flushes on.
                    writethrough=True,
                )
        return Landing(name="", host=address, port=port, disks_port=disks_port)

    async def _arrived(self, monitor: Monitor, within_s: float) -> bool:
        async for _ in attempts(within_s=within_s, first_pause_s=0.003, longest_pause_s=0.05):
            if await monitor.status() != "inmigrate":
                return True
        return False

    async def _stop_serving_disks(self, monitor: Monitor) -> None:
        try:
            await monitor.execute("nbd-server-stop")
        except CommandError as error:
            if "not running" not in error.message:
                raise

    async def _has_gone_on(self, process: GuestProcess) -> bool:
        try:
            async with session(self._places.socket(process.name, "qmp")) as monitor:
                return await monitor.status() == "running"
        except (Disconnected, CommandError):
            return False

    async def _abandon(self, guest: Guest) -> None:
        try:
            process = self._find(guest.name)
            if process is not None:
                await self._end(process)
            await self._cleaner.clean(guest)
        except GanetiError as error:
            log.error("guest that did not come left things behind", guest=guest.name, why=error.message)

    def _said(self, name: str) -> str:
        try:
            text = last_lines(self._files.read(self._places.log_file(name)).decode(errors="replace"))
        except FileNotFoundError:
            return ""
        return f"; QEMU says: {text}" if text else ""

    @asynccontextmanager
    async def _talk(self, name: str, deed: str) -> AsyncIterator[Monitor]:
        try:
            async with session(self._places.socket(name, "qmp")) as monitor:
                yield monitor
        except CommandError as error:
            raise Failed(f"cannot {deed} {name}: QEMU says: {error.message}", guest=name) from error
        except Disconnected as error:
            raise Failed(f"cannot {deed} {name}: {error.message}{self._said(name)}", guest=name) from error


def _thin(guest: Guest) -> Guest:
    """Zeros that are copied take no room. As it is a setting of the block layer, the guest sees no difference."""
    return msgspec.structs.replace(guest, hvparams=guest.hvparams | {"disk_discard": "unmap"})


def _may_be_aborted(runtime: Runtime) -> bool:
    """It waits, or was about to when the daemon ended."""
    return runtime.phase == "incoming" or (runtime.phase == "starting" and "-incoming" in runtime.argv)


async def _first_free(ports: Iterator[int], listen: Callable[[int], Awaitable[object]]) -> int:
    first = last = 0
    for port in ports:
        first, last = first or port, port
        try:
            await listen(port)
        except CommandError as error:
            if "in use" not in error.message:
                raise
        else:
            return port
    raise Refused(NO_RESOURCES, f"all ports from {first} to {last} are in use here (migration_port)")


def confinement(guest: Guest) -> list[str]:
    """What stands against moving a guest whose QEMU may read nothing: it would need the node's own key."""
    params = guest.hvparams
    if params["use_chroot"] or params["security_model"] != "none":
        return [
            "its QEMU is confined (use_chroot, security_model) and shall not read this node's key, which a migration "
            "needs; fail it over instead"
        ]
    return []


async def configure(monitor: Monitor, pace: Pace, *, mirrors: bool) -> None:
    """Capabilities: those asked for, and a stop before the last step while disks are mirrored. All others off.

    A copy that has arrived takes no lock of its disks before it goes on, else the source could not go on instead. And
    the target says that it has everything, else the source would take what is lost in its socket for arrived.
    """
    wanted = dict.fromkeys(pace.capabilities, True)
    known = [each["capability"] for each in await monitor.execute("query-migrate-capabilities")]
    for name in wanted:
        if name not in known:
            raise Failed(f"this QEMU has no migration capability '{name}' (migration_caps); it has {', '.join(known)}")
    switches = {name: False for name in ("postcopy-ram", "multifd", "auto-converge", "xbzrle") if name in known}
    switches |= wanted | {"pause-before-switchover": mirrors, "late-block-activate": True, "return-path": True}
    await monitor.execute(
        "migrate-set-capabilities",
        capabilities=[{"capability": name, "state": state} for name, state in switches.items()],
    )

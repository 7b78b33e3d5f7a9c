"""The hypervisor port for KVM: decides what must happen to a guest's QEMU and lets the other modules do it."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from ganeti.base.clock import Clock
from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner
from ganeti.base.retry import attempts
from ganeti.contract.guest import AttachedDisk, Console, Guest, GuestState, GuestStatus, HypervisorFacts, Migration
from ganeti.contract.migration import Landing, Moving, Pace, Progress
from ganeti.contract.network import Network, Taps
from ganeti.drivers.hypervisor.kvm import check, console
from ganeti.drivers.hypervisor.kvm.argv import NO_SHUTDOWN
from ganeti.drivers.hypervisor.kvm.cgroups import Groups, scope_of
from ganeti.drivers.hypervisor.kvm.host import Host
from ganeti.drivers.hypervisor.kvm.launch import Launcher
from ganeti.drivers.hypervisor.kvm.leftovers import Cleaner
from ganeti.drivers.hypervisor.kvm.migration_source import Source
from ganeti.drivers.hypervisor.kvm.migration_target import Target
from ganeti.drivers.hypervisor.kvm.migration_tls import Keys
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Disconnected, Monitor, session
from ganeti.drivers.hypervisor.kvm.params import NAME, PARAMS
from ganeti.drivers.hypervisor.kvm.process import GuestProcess, Processes
from ganeti.drivers.hypervisor.kvm.runtime import Book, Places, check_name
from ganeti.model.objects import Params
from ganeti.model.params import defaults

ASK_AGAIN_S: Final = 10.0
"""A guest that is just booting misses the power button; it is pressed again that often."""

QUIT_LIMIT_S: Final = 10.0
KILL_LIMIT_S: Final = 30.0
_LOOK_LIMIT_S: Final = 3.0
_LOOKS_AT_ONCE: Final = 16
_POLL_S: Final = 0.25
_OFF: Final = "shutdown"
_RUNNING: Final = frozenset({"running", "colo"})

log = Log(__name__)


class Driver:
    """KVM on this host. `networks` by NIC mode."""

    def __init__(
        self,
        *,
        runner: Runner,
        files: Files,
        clock: Clock,
        paths: Paths,
        networks: Mapping[str, Network],
        taps: Taps,
    ) -> None:
        self._files = files
        self._places = Places.of(paths)
        self._host = Host(runner, files)
        self._book = Book(files, self._places)
        self._processes = Processes(files, self._places)
        self._groups = Groups(files, scope=scope_of(os.uname().nodename, self._places.root))
        self._cleaner = Cleaner(
            files=files,
            clock=clock,
            places=self._places,
            networks=networks,
            taps=taps,
            groups=self._groups,
            book=self._book,
        )
        self._launcher = Launcher(
            runner=runner,
            files=files,
            clock=clock,
            places=self._places,
            certificates=paths.data,
            networks=networks,
            taps=taps,
            host=self._host,
            processes=self._processes,
            groups=self._groups,
            book=self._book,
        )
        keys = Keys(files, self._places, certificate=paths.node_certificate, authority=paths.ca_certificate)
        self._source = Source(
            places=self._places,
            host=self._host,
            cleaner=self._cleaner,
            book=self._book,
            keys=keys,
            find=self._find,
            end=self._end,
        )
        self._target = Target(
            files=files,
            places=self._places,
            host=self._host,
            launcher=self._launcher,
            cleaner=self._cleaner,
            book=self._book,
            keys=keys,
            find=self._find,
            end=self._end,
        )
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._asked_to_stop: set[str] = set()

    async def start(self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False) -> None:
        """See `Hypervisor.start`."""
        check_name(guest.name)
        async with self._lock(guest.name):
            process = self._find(guest.name)
            if process is not None and await self._is_in_order(process):
                return
            plan = await self._launcher.plan(guest, disks)
            for directory in self._places.directories:
                self._files.make_dirs(directory)
            if process is not None:
                await self._end(process)
            await self._cleaner.clean(guest)
            try:
                self._book.save(await self._launcher.run(plan, paused=paused))
            except BaseException:
                await self._abandon(guest)
                raise
        log.info("guest started", guest=guest.name, machine=plan.machine, accelerator=plan.accelerator)

    async def stop(self, guest: Guest, *, force: bool, timeout_s: float) -> None:
        """See `Hypervisor.stop`. While it waits for the guest, a second call with `force` ends it at once."""
        check_name(guest.name)
        self._asked_to_stop.add(guest.name)
        try:
            process = self._find(guest.name)
            if process is not None and not force and timeout_s > 0:
                await self._press_power_button(process, timeout_s)
            async with self._lock(guest.name):
                process = self._find(guest.name)
                if process is not None:
                    await self._end(process)
                await self._cleaner.clean(guest)
        finally:
            self._asked_to_stop.discard(guest.name)

    async def reboot(self, guest: Guest) -> None:
        """See `Hypervisor.reboot`.

        With reboot_behavior=exit any reset ends QEMU, and firmware may reset once more on its way up: such a guest
        gets a new QEMU with the same command line.
        """
        async with self._lock(guest.name):
            process = self._find(guest.name)
            async with self._running(guest, "reboot") as monitor:
                if process is None or "-no-reboot" not in process.argv:
                    await monitor.execute("system_reset")
                    return
            await self._launch_again(guest, process)

    async def pause(self, guest: Guest) -> None:
        """See `Hypervisor.pause`."""
        async with self._lock(guest.name), self._running(guest, "pause") as monitor:
            await monitor.execute("stop")

    async def resume(self, guest: Guest) -> None:
        """See `Hypervisor.resume`."""
        async with self._lock(guest.name), self._running(guest, "resume") as monitor:
            await monitor.execute("cont")

    async def balloon(self, guest: Guest, memory_mib: int) -> None:
        """See `Hypervisor.balloon`. The guest gives memory back when its balloon driver runs; QEMU only asks."""
        if not 0 < memory_mib <= guest.maxmem_mib:
            raise Refused(
                WRONG_INPUT,
                f"memory of {guest.name} can be from 1 to {guest.maxmem_mib} MiB (maxmem), not {memory_mib}",
                memory_mib=memory_mib,
            )
        async with self._lock(guest.name), self._running(guest, "change the memory of") as monitor:
            await monitor.execute("balloon", value=memory_mib * 2**20)

    async def list(self) -> list[GuestState]:
        """See `Hypervisor.list`."""
        processes = self._processes.all()
        names = sorted({*processes, *self._book.names()})
        at_once = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(name: str) -> GuestState | None:
            async with at_once:
                return await self._look(name, processes.get(name))

        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(look(name)) for name in names]
        return [state for state in (task.result() for task in looks) if state is not None]

    async def state(self, name: str) -> GuestState | None:
        """See `Hypervisor.state`."""
        return await self._look(name, self._find(name))

    async def console(self, guest: Guest, *, host: str) -> Console:
        """See `Hypervisor.console`."""
        return console.console(guest, self._places, host=host)

    async def facts(self) -> HypervisorFacts:
        """See `Hypervisor.facts`. The version is empty when QEMU is not there."""
        params = defaults(PARAMS)
        program = self._host.program(params)
        about = await self._host.about(program) if program is not None else None
        memory, cpus = self._host.memory(), self._host.cpus()
        of_guests_mib = sum(self._processes.resident_mib(process) for process in self._processes.all().values())
        return HypervisorFacts(
            memory_total_mib=memory.total_mib,
            memory_free_mib=memory.free_mib,
            memory_node_mib=max(0, memory.total_mib - memory.free_mib - of_guests_mib),
            cpu_total=len(cpus.ids),
            cpu_nodes=cpus.nodes,
            cpu_sockets=cpus.sockets,
            version=about.version_text if about is not None else "",
            details={
                "program": program,
                "machine": about.default_machine if about is not None else None,
                "accelerator": self._host.accelerator(params),
            },
        )

    async def check(self, hvparams: Params) -> Sequence[str]:
        """See `Hypervisor.check`."""
        return tuple(check.objections(hvparams, self._host, self._files))

    async def _launch_again(self, guest: Guest, process: GuestProcess) -> None:
        runtime = self._book.load(guest.name)
        if runtime is None:
            raise Refused(
                WRONG_STATE,
                f"cannot reboot {guest.name}: how it was started is not written down any more; stop it and start it",
                guest=guest.name,
            )
        await self._end(process)
        try:
            again = msgspec.structs.replace(runtime, phase="starting", pid=None)
            self._book.save(await self._launcher.run(again, paused=False))
        except BaseException:
            await self._abandon(guest)
            raise

    async def moving(self, guest: Guest) -> Moving:
        """See `Migrating.moving`."""
        async with self._lock(guest.name):
            return await self._source.moving(guest)

    async def objections_to(self, moving: Moving, *, ignore_version: bool = False) -> Sequence[str]:
        """See `Migrating.objections_to`."""
        return await self._target.objections_to(moving, ignore_version=ignore_version)

    async def receive(
        self, moving: Moving, disks: Sequence[AttachedDisk], *, address: str, peer: str, copies_disks: bool, pace: Pace
    ) -> Landing:
        """See `Migrating.receive`."""
        check_name(moving.guest.name)
        async with self._lock(moving.guest.name):
            return await self._target.receive(
                moving, disks, address=address, peer=peer, copies_disks=copies_disks, pace=pace
            )

    async def abort(self, guest: Guest) -> None:
        """See `Migrating.abort`."""
        async with self._lock(guest.name):
            await self._target.abort(guest)

    async def send(self, guest: Guest, landing: Landing, pace: Pace) -> None:
        """See `Migrating.send`."""
        async with self._lock(guest.name):
            await self._source.send(guest, landing, pace)

    async def watch(self, guest: Guest, *, within_s: float) -> Progress:
        """See `Migrating.watch`."""
        async with self._lock(guest.name):
            return await self._source.watch(guest, within_s=within_s)

    async def switch(self, guest: Guest) -> None:
        """See `Migrating.switch`."""
        async with self._lock(guest.name):
            await self._source.switch(guest)

    async def keep(self, guest: Guest) -> None:
        """See `Migrating.keep`."""
        async with self._lock(guest.name):
            await self._source.keep(guest)

    async def finish(self, guest: Guest, *, if_there: bool = False) -> None:
        """See `Migrating.finish`."""
        async with self._lock(guest.name):
            await self._target.finish(guest, if_there=if_there)

    async def leave(self, guest: Guest) -> None:
        """See `Migrating.leave`."""
        async with self._lock(guest.name):
            await self._source.leave(guest)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _find(self, name: str) -> GuestProcess | None:
        return self._processes.find(name, hints=self._groups.pids(name))

    async def _is_in_order(self, process: GuestProcess) -> bool:
        """Whether a process is a guest that runs, not one that powered off or was never set up completely."""
        if self._is_half_made(process.name):
            return False
        return NO_SHUTDOWN not in process.argv or await self._run_state(process) != _OFF

    def _is_half_made(self, name: str) -> bool:
        """Whether its start never came to an end: the daemon died meanwhile."""
        runtime = self._book.load(name)
        return runtime is not None and runtime.phase == "starting"

    def _is_being_changed(self, name: str) -> bool:
        """Whether it is being started or taken away at this moment."""
        lock = self._locks.get(name)
        return lock is not None and lock.locked()

    async def _run_state(self, process: GuestProcess) -> str | None:
        """QEMU's run state; None when it does not say."""
        try:
            async with session(self._places.socket(process.name, "qmp"), within_s=_LOOK_LIMIT_S) as monitor:
                return await monitor.status(within_s=_LOOK_LIMIT_S)
        except (Disconnected, CommandError):
            return None

    async def _look(self, name: str, process: GuestProcess | None) -> GuestState | None:
        if process is None:
            return self._look_at_dead(name)
        run_state, memory_mib = None, process.memory_mib
        try:
            async with session(self._places.socket(name, "qmp"), within_s=_LOOK_LIMIT_S) as monitor:
                run_state = await monitor.status(within_s=_LOOK_LIMIT_S)
                balloon = await monitor.execute("query-balloon", within_s=_LOOK_LIMIT_S)
                memory_mib = int(balloon["actual"]) // 2**20
        except (Disconnected, CommandError):
            # The process is there: it holds memory and disks, whatever its monitor does.
            if not self._processes.lives(process):
                return self._look_at_dead(name)
        if run_state == _OFF and name not in self._asked_to_stop:
            await self._note_user_shutdown(process)
            return self._look_at_dead(name)
        status: GuestStatus = "running" if run_state is None or run_state in _RUNNING else "paused"
        if run_state == "prelaunch" and not self._is_being_changed(name) and self._is_half_made(name):
            status = "stopped"
        return GuestState(
            name=name,
            hypervisor=NAME,
            status=status,
            memory_mib=memory_mib,
            vcpus=process.vcpus,
            cpu_s=self._processes.cpu_s(process),
            uuid=process.uuid,
            pid=process.pid,
            migration=self._migration(name, run_state),
        )

    def _migration(self, name: str, run_state: str | None) -> Migration:
        """Whether a process is a copy that may not be the guest any more, or not yet."""
        runtime = self._book.load(name)
        if runtime is None or run_state in _RUNNING:
            return ""
        if runtime.phase == "incoming":
            return "incoming" if run_state == "inmigrate" else "arrived"
        return "sent" if runtime.phase == "sending" and runtime.resume else ""

    def _look_at_dead(self, name: str) -> GuestState | None:
        if self._is_being_changed(name):
            return None
        if not self._files.exists(self._places.runtime(name)):
            return None
        off = self._files.exists(self._places.shutdown_marker(name))
        runtime = self._book.load(name)
        uuid = runtime.guest.uuid if runtime is not None else None
        return GuestState(name=name, hypervisor=NAME, status="user-down" if off else "stopped", uuid=uuid)

    async def _note_user_shutdown(self, process: GuestProcess) -> None:
        """The guest powered itself off: keep that in a file, and give its memory back to the host."""
        self._files.write(self._places.shutdown_marker(process.name), b"")
        await self._end(process)

    @asynccontextmanager
    async def _running(self, guest: Guest, deed: str) -> AsyncIterator[Monitor]:
        """The monitor of a guest that runs or is paused. `Refused` when it does not."""
        if self._find(guest.name) is None:
            raise Refused(WRONG_STATE, f"cannot {deed} {guest.name}: it does not run", guest=guest.name)
        try:
            async with session(self._places.socket(guest.name, "qmp")) as monitor:
                if await monitor.status() == _OFF:
                    raise Refused(WRONG_STATE, f"cannot {deed} {guest.name}: it has powered off", guest=guest.name)
                yield monitor
        except (Disconnected, CommandError) as error:
            raise _failed(deed, guest.name, error) from error

    async def _press_power_button(self, process: GuestProcess, timeout_s: float) -> None:
        """Ask the guest to shut down, again and again, until it has or the time is over."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        ask_s = loop.time()
        stays = NO_SHUTDOWN in process.argv
        while self._processes.lives(process) and loop.time() < end_s:
            if stays and await self._run_state(process) == _OFF:
                return
            if loop.time() >= ask_s:
                if not await self._ask_to_shut_down(process):
                    return
                ask_s = loop.time() + ASK_AGAIN_S
            await asyncio.sleep(min(_POLL_S, max(0.0, end_s - loop.time())))

    async def _ask_to_shut_down(self, process: GuestProcess) -> bool:
        """Press the power button once; False when there is nobody who could hear it."""
        try:
            async with session(self._places.socket(process.name, "qmp")) as monitor:
                run_state = await monitor.status()
                if run_state in (_OFF, "prelaunch"):
                    return False
                if run_state == "paused":
                    await monitor.execute("cont")  # a frozen guest cannot shut down
                await monitor.execute("system_powerdown")
        except (Disconnected, CommandError) as error:
            log.warning("guest cannot be asked to shut down", guest=process.name, why=error.message)
        return True

    async def _end(self, process: GuestProcess) -> None:
        """End QEMU: by its monitor, which writes out what it holds of disks, else by signal."""
        try:
            async with session(self._places.socket(process.name, "qmp"), within_s=_LOOK_LIMIT_S) as monitor:
                await monitor.execute("quit", within_s=_LOOK_LIMIT_S)
        except (Disconnected, CommandError):
            pass  # a monitor that hangs up is what "quit" means, and one that does not answer has the signal coming
        else:
            if await self._ended(process, QUIT_LIMIT_S):
                return
        if await self._ended(process, 0.5):
            return
        self._processes.kill(process)
        if not await self._ended(process, KILL_LIMIT_S):
            raise Failed(
                f"QEMU of {process.name} (pid {process.pid}) does not end, not even by SIGKILL; it may be waiting for"
                " a disk that does not answer: look at the storage of this node",
                guest=process.name,
                pid=process.pid,
            )

    async def _ended(self, process: GuestProcess, within_s: float) -> bool:
        async for _ in attempts(within_s=within_s, longest_pause_s=_POLL_S):
            if not self._processes.lives(process):
                return True
        return False

    async def _abandon(self, guest: Guest) -> None:
        """After a start that failed: leave nothing. What cannot be taken away is logged, the first error is told."""
        try:
            process = self._find(guest.name)
            if process is not None:
                await self._end(process)
            await self._cleaner.clean(guest)
        except GanetiError as error:
            log.error("guest that did not start left things behind", guest=guest.name, why=error.message)


def _failed(deed: str, name: str, error: GanetiError) -> Failed:
    return Failed(f"cannot {deed} {name}: {error.message}", guest=name)

"""The source's half of a migration: disks are mirrored, then memory is sent; and the ways back and out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from ganeti.base.errors import ENVIRONMENT, WRONG_STATE, Failed, Refused
from ganeti.base.log import Log
from ganeti.base.retry import attempts
from ganeti.contract.guest import Guest
from ganeti.contract.migration import OVER, Landing, Moving, Pace, Progress
from ganeti.drivers.hypervisor.kvm import migration_tls
from ganeti.drivers.hypervisor.kvm.devices import device_id
from ganeti.drivers.hypervisor.kvm.host import Host
from ganeti.drivers.hypervisor.kvm.leftovers import Cleaner
from ganeti.drivers.hypervisor.kvm.migration_progress import MIRROR, all_ready, read_progress
from ganeti.drivers.hypervisor.kvm.migration_target import configure, confinement
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Disconnected, Monitor, session
from ganeti.drivers.hypervisor.kvm.process import GuestProcess
from ganeti.drivers.hypervisor.kvm.runtime import Book, Places, Runtime

_POLL_S: Final = 0.01
_MIB: Final = 2**20
STOP_LIMIT_S: Final = 30.0
_COPY: Final = "copy-"
"""What the names of block nodes at the target begin with."""

log = Log(__name__)


class Source:
    """Sends guests. `find` finds a guest's QEMU, `end` ends one."""

    def __init__(
        self,
        *,
        places: Places,
        host: Host,
        cleaner: Cleaner,
        book: Book,
        keys: migration_tls.Keys,
        find: Callable[[str], GuestProcess | None],
        end: Callable[[GuestProcess], Awaitable[None]],
    ) -> None:
        self._places = places
        self._host = host
        self._cleaner = cleaner
        self._book = book
        self._keys = keys
        self._find = find
        self._end = end

    async def moving(self, guest: Guest) -> Moving:
        """See `Migrating.moving`."""
        runtime = self._runtime(guest)
        async with self._talk(guest.name, "look at") as monitor:
            run_state = await monitor.status()
            memory_mib = int((await monitor.execute("query-balloon"))["actual"]) // _MIB
            version = (await monitor.execute("query-version"))["qemu"]
        if run_state not in ("running", "paused"):
            raise Refused(WRONG_STATE, f"cannot move {guest.name}: QEMU is in the state {run_state}", guest=guest.name)
        return Moving(
            guest=runtime.guest,
            machine=runtime.machine,
            accelerator=runtime.accelerator,
            version=f"{version['major']}.{version['minor']}.{version['micro']}",
            memory_mib=memory_mib,
            paused=run_state == "paused",
        )

    async def send(self, guest: Guest, landing: Landing, pace: Pace) -> None:
        """See `Migrating.send`."""
        runtime = self._runtime(guest)
        if against := confinement(runtime.guest):
            raise Refused(ENVIRONMENT, f"cannot send {guest.name}: {against[0]}", guest=guest.name)
        async with self._talk(guest.name, "send") as monitor:
            if runtime.phase == "sending" and runtime.landing == landing and await _is_busy(monitor, runtime):
                return
            run_state = await monitor.status()
            if run_state not in ("running", "paused"):
                raise Refused(WRONG_STATE, f"cannot send {guest.name}: QEMU is in the state {run_state}")
            runtime = msgspec.structs.replace(
                runtime,
                phase="sending",
                resume=run_state == "running",
                landing=landing,
                pace=pace,
                sends_memory=False,
            )
            self._book.save(runtime)
            await self._keys.give(monitor, guest.name, "client")
            await configure(monitor, pace, mirrors=landing.disks_port is not None)
            await monitor.execute(
                "migrate-set-parameters",
                max_bandwidth=pace.bandwidth_mib_s * _MIB,
                downtime_limit=pace.downtime_ms,
                tls_creds=migration_tls.CREDENTIALS,
                tls_hostname=landing.name,
            )
            if landing.disks_port is None:
                await self._send_memory(monitor, runtime, landing)
            else:
                for disk in runtime.disks:
                    await self._mirror(monitor, device_id("disk", disk.disk.uuid), landing, pace)
        log.info("guest is being sent", guest=guest.name, to=landing.name, port=landing.port)

    async def watch(self, guest: Guest, *, within_s: float) -> Progress:
        """See `Migrating.watch`."""
        runtime = self._runtime(guest)
        if runtime.phase != "sending" or runtime.landing is None:
            return Progress(phase="none", error=f"{guest.name} is not being sent")
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        async with self._talk(guest.name, "send") as monitor:
            first = await self._step(monitor, guest, runtime.landing)
            progress = first
            while True:
                changed = progress.phase != first.phase and progress.phase != "arriving"
                if changed or progress.phase in OVER or loop.time() >= end_s:
                    return progress
                await asyncio.sleep(_POLL_S)
                progress = await self._step(monitor, guest, runtime.landing)

    async def switch(self, guest: Guest) -> None:
        """See `Migrating.switch`."""
        async with self._talk(guest.name, "switch to post-copy of") as monitor:
            status = str((await monitor.execute("query-migrate")).get("status"))
            if status == "active":
                await monitor.execute("migrate-start-postcopy")
            async for _ in attempts(within_s=STOP_LIMIT_S, first_pause_s=0.005, longest_pause_s=0.05):
                status = str((await monitor.execute("query-migrate")).get("status"))
                if status in ("postcopy-active", "completed"):
                    return
                if status in ("failed", "cancelled"):
                    break
        raise Failed(f"cannot switch to post-copy of {guest.name}: QEMU's migration is {status}", guest=guest.name)

    async def keep(self, guest: Guest) -> None:
        """See `Migrating.keep`."""
        runtime = self._book.load(guest.name)
        if runtime is None or runtime.phase != "sending" or self._find(guest.name) is None:
            return
        async with self._talk(guest.name, "keep") as monitor:
            if runtime.sends_memory:
                await _cancel_memory(monitor)
            await _cancel_mirrors(monitor)
            if runtime.resume and await monitor.status() != "running":
                await monitor.execute("cont")
            await self._keys.take_away(monitor)
        self._book.save(
            msgspec.structs.replace(
                runtime, phase="started", resume=True, landing=None, pace=Pace(), sends_memory=False
            )
        )
        log.info("guest stays here", guest=guest.name)

    async def leave(self, guest: Guest) -> None:
        """See `Migrating.leave`."""
        runtime, process = self._book.load(guest.name), self._find(guest.name)
        if process is None:
            if runtime is None or runtime.phase == "sending":
                await self._cleaner.clean(guest)
            return
        if runtime is None or runtime.phase != "sending" or await self._runs(process):
            log.warning("guest was not sent, so it stays", guest=guest.name)
            return
        await self._end(process)
        await self._cleaner.clean(guest)

    async def _mirror(self, monitor: Monitor, disk: str, landing: Landing, pace: Pace) -> None:
        await monitor.execute(
            "blockdev-add",
            driver="nbd",
            node_name=_COPY + disk,
            server={"type": "inet", "host": landing.host, "port": str(landing.disks_port)},
            export=disk,
            tls_creds=migration_tls.CREDENTIALS,
            tls_hostname=landing.name,
        )
        await monitor.execute(
            "blockdev-mirror",
            job_id=MIRROR + disk,
            device=disk,
            target=_COPY + disk,
            sync="full",
            # Every write of the guest waits for the target from here on, so that mirrors are as one when it stops.
            copy_mode="write-blocking",
            speed=await _speed_bytes_s(monitor, disk, pace),
            # It stays, when it has ended, until we have read why.
            auto_dismiss=False,
        )

    async def _send_memory(self, monitor: Monitor, runtime: Runtime, landing: Landing) -> None:
        self._book.save(msgspec.structs.replace(runtime, sends_memory=True))
        if not runtime.pace.live:
            await monitor.execute("stop")
        host = f"[{landing.host}]" if ":" in landing.host else landing.host
        await monitor.execute("migrate", uri=f"tcp:{host}:{landing.port}")

    async def _step(self, monitor: Monitor, guest: Guest, landing: Landing) -> Progress:
        runtime = self._runtime(guest)
        jobs = await monitor.execute("query-jobs") if landing.disks_port is not None else []
        if not runtime.sends_memory:
            if not all_ready(jobs, len(runtime.disks)):
                return read_progress({}, jobs)
            await self._send_memory(monitor, runtime, landing)
        answer = await monitor.execute("query-migrate")
        if answer.get("status") == "pre-switchover":
            await _end_mirrors(monitor, jobs)
            await monitor.execute("migrate-continue", state="pre-switchover")
        return read_progress(answer, jobs)

    async def _runs(self, process: GuestProcess) -> bool:
        try:
            async with session(self._places.socket(process.name, "qmp")) as monitor:
                return await monitor.status() == "running"
        except (Disconnected, CommandError):
            return False

    def _runtime(self, guest: Guest) -> Runtime:
        if self._find(guest.name) is None:
            raise Refused(WRONG_STATE, f"cannot move {guest.name}: it does not run", guest=guest.name)
        runtime = self._book.load(guest.name)
        if runtime is None:
            raise Refused(
                WRONG_STATE,
                f"cannot move {guest.name}: what was written about its start ({self._places.runtime(guest.name)}) is gone; "
                "restart it ('gnt-instance reboot'), or fail it over",
                guest=guest.name,
            )
        return runtime

    @asynccontextmanager
    async def _talk(self, name: str, deed: str) -> AsyncIterator[Monitor]:
        try:
            async with session(self._places.socket(name, "qmp")) as monitor:
                yield monitor
        except CommandError as error:
            raise Failed(f"cannot {deed} {name}: QEMU says: {error.message}", guest=name) from error
        except Disconnected as error:
            raise Failed(f"cannot {deed} {name}: {error.message}", guest=name) from error


async def _speed_bytes_s(monitor: Monitor, disk: str, pace: Pace) -> int:
    """The limit counts zeros that nobody sends: a sparse disk may go as much faster as it is larger than its data."""
    nodes = await monitor.execute("query-named-block-nodes", flat=True)
    image: Mapping[str, Any] = next((node.get("image", {}) for node in nodes if node.get("node-name") == disk), {})
    size_bytes = int(image.get("virtual-size", 0))
    data_bytes = min(size_bytes, int(image.get("actual-size", size_bytes)))
    limit_bytes_s = pace.bandwidth_mib_s * _MIB
    return limit_bytes_s * size_bytes // max(data_bytes, _MIB) if size_bytes else limit_bytes_s


async def _is_busy(monitor: Monitor, runtime: Runtime) -> bool:
    if not runtime.sends_memory:
        return bool(_mirrors(await _jobs(monitor)))
    status = (await monitor.execute("query-migrate")).get("status", "none")
    return status in ("setup", "active", "pre-switchover", "device", "completed")


async def _jobs(monitor: Monitor) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = await monitor.execute("query-jobs")
    return found


def _mirrors(jobs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [job for job in jobs if str(job["id"]).startswith(MIRROR)]


async def _end_mirrors(monitor: Monitor, jobs: Sequence[Mapping[str, Any]]) -> None:
    """The guest is stopped and both sides are the same: let go of the target."""
    for job in _mirrors(jobs):
        if job["status"] == "ready":
            await monitor.execute("block-job-cancel", device=job["id"])
    await _dismissed(monitor)


async def _dismissed(monitor: Monitor) -> None:
    """Wait until no mirror works any more. `Failed` with what one ended with."""
    broken = ""
    async for _ in attempts(within_s=STOP_LIMIT_S, first_pause_s=0.002, longest_pause_s=0.05):
        left = _mirrors(await _jobs(monitor))
        for job in left:
            if job["status"] == "concluded":
                broken = broken or str(job.get("error", ""))
                await monitor.execute("job-dismiss", id=job["id"])
        if all(job["status"] == "concluded" for job in left):
            break
    else:
        raise Failed(f"the copying of disks does not end within {STOP_LIMIT_S:g} s")
    if broken:
        raise Failed(f"a disk could not be copied: {broken}")


async def _cancel_memory(monitor: Monitor) -> None:
    await monitor.execute("migrate_cancel")
    status = ""
    async for _ in attempts(within_s=STOP_LIMIT_S, first_pause_s=0.005, longest_pause_s=0.1):
        status = (await monitor.execute("query-migrate")).get("status", "none")
        if status in ("none", "completed", "failed", "cancelled"):
            return
    raise Failed(f"QEMU does not stop sending within {STOP_LIMIT_S:g} s: {status}")


async def _cancel_mirrors(monitor: Monitor) -> None:
    """Stop copying at once. A connection over which nothing moves any more is cut, else the guest's writes would hang."""
    jobs = _mirrors(await _jobs(monitor))
    for job in jobs:
        if job["status"] == "concluded":
            continue
        node = _COPY + str(job["id"]).removeprefix(MIRROR)
        try:
            await monitor.execute("yank", instances=[{"type": "block-node", "node-name": node}])
            await monitor.execute("block-job-cancel", device=job["id"], force=True)
        except CommandError as error:
            log.warning("copying of a disk ended by itself", job=job["id"], why=error.message)
    try:
        await _dismissed(monitor)
    except Failed as error:
        log.info("copying of disks was broken off", why=error.message)
    for node in await monitor.execute("query-named-block-nodes", flat=True):
        if str(node.get("node-name", "")).startswith(_COPY):
            await monitor.execute("blockdev-del", node_name=node["node-name"])

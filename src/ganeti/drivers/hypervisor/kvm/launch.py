"""Starts the QEMU of a guest: interfaces first, then the process, stopped, then what it needs before it may run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ganeti.base.clock import Clock
from ganeti.base.errors import ENVIRONMENT, Failed, Refused
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.processes import Runner, last_lines
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.migration import Moving
from ganeti.contract.network import Network, Taps
from ganeti.drivers.hypervisor.kvm import argv as command_line
from ganeti.drivers.hypervisor.kvm import pinning
from ganeti.drivers.hypervisor.kvm.cgroups import Groups, limits_for
from ganeti.drivers.hypervisor.kvm.host import INSTALL_HINT, Host
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Disconnected, Monitor, session
from ganeti.drivers.hypervisor.kvm.params import DEFAULT_BINARY
from ganeti.drivers.hypervisor.kvm.process import GuestProcess, Processes
from ganeti.drivers.hypervisor.kvm.runtime import Book, Places, Runtime, TapUsed
from ganeti.drivers.network.taps import tap_name

LAUNCH_LIMIT_S: Final = 180.0
"""Loading a kernel and preallocating memory take time on a busy host."""

WAIT_FOR_GUEST: Final = ("-incoming", "defer")
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
log = Log(__name__)


class Launcher:
    """Makes a guest run. It does not clean up when that fails: the caller does, in one place for all failures."""

    def __init__(
        self,
        *,
        runner: Runner,
        files: Files,
        clock: Clock,
        places: Places,
        certificates: str,
        networks: Mapping[str, Network],
        taps: Taps,
        host: Host,
        processes: Processes,
        groups: Groups,
        book: Book,
    ) -> None:
        self._runner = runner
        self._files = files
        self._clock = clock
        self._places = places
        self._certificates = certificates
        self._networks = networks
        self._taps = taps
        self._host = host
        self._processes = processes
        self._groups = groups
        self._book = book

    async def plan(self, guest: Guest, disks: Sequence[AttachedDisk], *, moving: Moving | None = None) -> Runtime:
        """Decide everything; nothing is changed. `Refused` when the guest cannot run here as asked.

        With `moving` it will wait for the guest to come from another host, in the machine that it has there.
        """
        for nic in guest.nics:
            if nic.mode not in self._networks:
                there = ", ".join(sorted(self._networks)) or "none"
                raise Refused(ENVIRONMENT, f"this node has no driver for NIC mode '{nic.mode}'; there is {there}")
        program = self._host.program(guest.hvparams)
        if program is None:
            raise Refused(ENVIRONMENT, f"QEMU is not there ({guest.hvparams['kvm_path']}); {INSTALL_HINT}")
        if guest.hvparams["kvm_path"] == DEFAULT_BINARY != program:
            log.info("the default kvm_path is not used", guest=guest.name, program=program)
        objection = self._host.accelerator_objection(guest.hvparams)
        if objection is not None:
            raise Refused(ENVIRONMENT, objection)
        about = await self._host.about(program)
        wanted = guest.hvparams["machine_version"] or about.default_machine
        if moving is not None:
            wanted = moving.machine
        kind, comma, more = wanted.partition(",")
        accelerator = self._host.accelerator(guest.hvparams)
        if moving is not None:
            accelerator = "kvm" if moving.accelerator == "kvm" else "tcg"
        settings = command_line.Settings(
            program=program,
            version=about.version,
            machine=about.machines.get(kind, kind) + comma + more,
            accelerator=accelerator,
            places=self._places,
            vhost=guest.hvparams["vhost_net"] and accelerator == "kvm" and self._host.has_vhost(),
            spice_address=await self._spice_address(guest),
            certificates=self._certificates,
        )
        taps = {nic.index: tap_name(guest.uuid, nic.index) for nic in guest.nics}
        return Runtime(
            phase="starting",
            resume=moving is None or not moving.paused,
            guest=guest,
            disks=tuple(disks),
            taps=tuple(TapUsed(index=index, interface=interface) for index, interface in taps.items()),
            argv=command_line.build(guest, disks, taps, settings) + (WAIT_FOR_GUEST if moving is not None else ()),
            machine=settings.machine,
            accelerator=accelerator,
            started_s=self._clock.now_s(),
        )

    async def run(self, runtime: Runtime, *, paused: bool) -> Runtime:
        """Carry the plan out. What it makes can be found again from the run-time file, which is written first."""
        guest = runtime.guest
        passwords = self._passwords(guest)
        self._book.save(runtime)
        await self._connect(runtime)
        process = await self._launch(runtime)
        placed = self._groups.place(guest.name, process.pid, limits_for(guest.vcpus, guest.maxmem_mib))
        if placed.problem:
            log.warning("guest runs without limits", guest=guest.name, why=placed.problem)
        try:
            async with session(self._places.socket(guest.name, "qmp")) as monitor:
                await self._pin(guest, process, monitor)
                for protocol, password in passwords.items():
                    await monitor.execute("set_password", protocol=protocol, password=password)
                if not paused:
                    await monitor.execute("cont")
        except CommandError as error:
            raise Failed(f"cannot start {guest.name}: QEMU says: {error.message}", guest=guest.name) from error
        except Disconnected as error:
            said = self._log_tail(guest.name)
            raise Failed(
                f"cannot start {guest.name}: {error.message}" + (f": {said}" if said else ""),
                guest=guest.name,
                stderr=said,
            ) from error
        return msgspec.structs.replace(runtime, phase="started", pid=process.pid)

    async def _connect(self, runtime: Runtime) -> None:
        guest = runtime.guest
        interfaces = {tap.index: tap.interface for tap in runtime.taps}
        paravirtual = guest.hvparams["nic_type"] == "paravirtual"
        for nic in guest.nics:
            interface = interfaces[nic.index]
            await self._taps.create(
                interface,
                mac=nic.mac,
                queues=guest.hvparams["virtio_net_queues"] if paravirtual else 1,
                vnet_hdr=paravirtual and guest.hvparams["vnet_hdr"],
            )
            await self._networks[nic.mode].attach(guest, nic, interface)
            self._files.make_dirs(self._places.nic_dir(guest.name))
            self._files.write(f"{self._places.nic_dir(guest.name)}/{nic.index}", interface.encode())

    async def _launch(self, runtime: Runtime) -> GuestProcess:
        guest = runtime.guest
        self._files.write(self._places.log_file(guest.name), b"")
        if guest.hvparams["use_chroot"]:
            self._files.make_dirs(self._places.chroot(guest.name), mode=0o755)
        done = await self._runner.run(runtime.argv, timeout_s=LAUNCH_LIMIT_S, env=_ENVIRONMENT)
        if done.status != 0:
            said = last_lines("\n".join(text for text in (done.stderr.strip(), self._log_tail(guest.name)) if text))
            raise Failed(
                f"cannot start {guest.name}: QEMU says: {said or 'nothing'}",
                guest=guest.name,
                argv=list(runtime.argv),
                status=done.status,
                stderr=said,
            )
        process = self._processes.find(guest.name)
        if process is None:
            said = self._log_tail(guest.name)
            raise Failed(
                f"cannot start {guest.name}: QEMU ended at once" + (f": {said}" if said else ""),
                guest=guest.name,
                stderr=said,
            )
        return process

    async def _pin(self, guest: Guest, process: GuestProcess, monitor: Monitor) -> None:
        masks = pinning.parse(guest.hvparams["cpu_mask"])
        if masks == (None,):
            return
        wanted: dict[int, pinning.Mask] = {}
        if len(masks) == 1:
            wanted = dict.fromkeys(self._processes.threads(process), masks[0])
        else:
            for cpu in await monitor.execute("query-cpus-fast"):
                wanted[int(cpu["thread-id"])] = masks[int(cpu["cpu-index"])]
        for thread, mask in wanted.items():
            if mask is None:
                continue
            try:
                os.sched_setaffinity(thread, mask)
            except ProcessLookupError:
                continue  # a worker thread of QEMU that has ended meanwhile
            except OSError as error:
                raise Failed(
                    f"cannot start {guest.name}: this node has no CPUs {sorted(mask)} (cpu_mask"
                    f" {guest.hvparams['cpu_mask']}): {error.strerror}",
                    guest=guest.name,
                ) from error

    async def _spice_address(self, guest: Guest) -> str | None:
        bind: str = guest.hvparams["spice_bind"]
        if not bind:
            return None
        return await self._host.address_of(bind, version=guest.hvparams["spice_ip_version"])

    def _passwords(self, guest: Guest) -> dict[str, str]:
        """The passwords of the screens by protocol. `Failed` when a file is missing or empty: then nobody gets in."""
        screens = {"vnc": "vnc_bind_address", "spice": "spice_bind"}
        found: dict[str, str] = {}
        for protocol, bind in screens.items():
            path = guest.hvparams[f"{protocol}_password_file"]
            if not path or not guest.hvparams[bind]:
                continue
            try:
                lines = self._files.read(path).decode(errors="replace").splitlines()
            except OSError as error:
                raise Failed(f"cannot read {path} ({protocol}_password_file): {error.strerror}", path=path) from error
            if not lines or not lines[0].strip():
                raise Failed(f"{path} ({protocol}_password_file) holds no password in its first line", path=path)
            found[protocol] = lines[0].strip()
        return found

    def _log_tail(self, name: str) -> str:
        try:
            return last_lines(self._files.read(self._places.log_file(name)).decode(errors="replace"))
        except FileNotFoundError:
            return ""

"""Takes away all that belongs to a KVM guest which does not run: taps, sockets, control groups, run-time files."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti.base.clock import Clock
from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.retry import attempts
from ganeti.contract.guest import Guest
from ganeti.contract.network import Network, Taps
from ganeti.drivers.hypervisor.kvm.cgroups import Groups
from ganeti.drivers.hypervisor.kvm.display import vnc_socket
from ganeti.drivers.hypervisor.kvm.runtime import SOCKETS, Book, Places
from ganeti.drivers.network.taps import tap_name, tap_prefix

_GROUP_LIMIT_S = 5.0
log = Log(__name__)


class Cleaner:
    """Cleans up after guests. Harmless to repeat, and enough on its own: it needs no run-time file to find the rest."""

    def __init__(
        self,
        *,
        files: Files,
        clock: Clock,
        places: Places,
        networks: Mapping[str, Network],
        taps: Taps,
        groups: Groups,
        book: Book,
    ) -> None:
        self._files = files
        self._clock = clock
        self._places = places
        self._networks = networks
        self._taps = taps
        self._groups = groups
        self._book = book

    async def clean(self, guest: Guest) -> None:
        """Remove everything; the run-time file last, so that a failure can be repeated. `Failed` names the first."""
        runtime = self._book.load(guest.name)
        started = runtime.guest if runtime is not None else guest
        interfaces = {tap.index: tap.interface for tap in runtime.taps} if runtime is not None else {}
        problems = await self._disconnect(started, interfaces)
        name = guest.name
        for kind in SOCKETS:
            self._files.remove(self._places.socket(name, kind))
        socket = vnc_socket(started.hvparams, name)
        if socket is not None:
            self._files.remove(socket)
        for index in self._files.list_dir(self._places.nic_dir(name)):
            self._files.remove(f"{self._places.nic_dir(name)}/{index}")
        self._files.remove_dir(self._places.nic_dir(name))
        self._empty_chroot(name)
        await self._remove_groups(name)
        self._files.remove(self._places.pid_file(name))
        self._files.remove(self._places.shutdown_marker(name))
        if problems:
            raise problems[0]
        self._book.forget(name)

    async def _disconnect(self, guest: Guest, interfaces: Mapping[int, str]) -> list[Failed]:
        problems: list[Failed] = []
        for nic in guest.nics:
            network = self._networks.get(nic.mode)
            interface = interfaces.get(nic.index, tap_name(guest.uuid, nic.index))
            if network is not None:
                try:
                    await network.detach(guest, nic, interface)
                except Failed as error:
                    problems.append(error)
        left = {*interfaces.values(), *await self._taps.list(tap_prefix(guest.uuid))}
        for interface in sorted(left):
            try:
                await self._taps.remove(interface)
            except Failed as error:
                problems.append(error)
        return problems

    def _empty_chroot(self, name: str) -> None:
        path = self._places.chroot(name)
        try:
            self._files.remove_dir(path)
        except OSError:
            # Somebody wrote into it. Nothing of that may be lost, nor be there at the next start.
            self._files.make_dirs(self._places.quarantine)
            kept = f"{self._places.quarantine}/{name}-{self._clock.now_s():.0f}"
            self._files.rename(path, kept)
            log.warning("guest left files in its chroot", guest=name, kept=kept)

    async def _remove_groups(self, name: str) -> None:
        async for _ in attempts(within_s=_GROUP_LIMIT_S):
            if self._groups.remove(name):
                return
        log.warning("control group of guest is still in use", guest=name, pids=self._groups.pids(name))

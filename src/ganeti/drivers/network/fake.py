"""Taps and links that exist in memory only, for simulation; the same suites as for the real ones keep them honest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ganeti.base.errors import Failed, Refused
from ganeti.contract.guest import Guest, GuestNic
from ganeti.drivers.network.bridged import read_vlans
from ganeti.drivers.network.taps import NAME_LIMIT, host_side


class FakeTap(msgspec.Struct, kw_only=True):
    """A tap of a simulated host. `master` is the link it is connected to."""

    name: str
    address: str
    queues: int = 1
    vnet_hdr: bool = True
    master: str | None = None
    up: bool = False


class FakeTaps:
    """The taps of a simulated host. They outlive the daemon, as real ones do: keep the object across restarts."""

    def __init__(self) -> None:
        self.there: dict[str, FakeTap] = {}

    async def create(self, interface: str, *, mac: str, queues: int = 1, vnet_hdr: bool = True) -> None:
        """See `Taps.create`."""
        if not 0 < len(interface.encode()) <= NAME_LIMIT:
            raise Failed(f"'{interface}' cannot be a tap: a name has 1 to {NAME_LIMIT} characters", interface=interface)
        tap = self.there.get(interface)
        if tap is None:
            tap = FakeTap(name=interface, address="", queues=queues, vnet_hdr=vnet_hdr)
            self.there[interface] = tap
        tap.address = host_side(mac)

    async def remove(self, interface: str) -> None:
        """See `Taps.remove`."""
        self.there.pop(interface, None)

    async def list(self, prefix: str) -> list[str]:
        """See `Taps.list`."""
        return sorted(name for name in self.there if name.startswith(prefix))


class FakeNetwork:
    """One NIC mode of a simulated host. `links` are those there are; more can be added and taken away."""

    def __init__(self, taps: FakeTaps, links: Iterable[str] = ("xen-br0",)) -> None:
        self._taps = taps
        self.links = set(links)

    async def attach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """See `Network.attach`."""
        problems = await self.check(nic)
        if problems:
            raise Failed(problems[0], guest=guest.name, nic=nic.index, link=nic.link)
        tap = self._taps.there.get(interface)
        if tap is None:
            raise Failed(f"there is no interface {interface} to connect to {nic.link}", interface=interface)
        tap.address, tap.master, tap.up = host_side(nic.mac), nic.link, True

    async def detach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """See `Network.detach`."""
        tap = self._taps.there.get(interface)
        if tap is not None:
            tap.master, tap.up = None, False

    async def check(self, nic: GuestNic) -> Sequence[str]:
        """See `Network.check`."""
        try:
            read_vlans(nic.vlan)
        except Refused as error:
            return (error.message,)
        if nic.link in self.links:
            return ()
        return (f"bridge {nic.link} is not on this node; make it, or choose another link",)

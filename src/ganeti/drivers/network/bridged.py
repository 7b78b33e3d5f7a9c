"""NICs on a Linux bridge, plain or VLAN-aware (spec: drivers, "Network")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.contract.guest import Guest, GuestNic
from ganeti.drivers.network import netlink
from ganeti.drivers.network.netlink import Link
from ganeti.drivers.network.taps import host_side
from ganeti.model.traits import NetworkTraits

TRAITS: Final = NetworkTraits(mode="bridged", link_is="the bridge", link_checked=True, vlan_aware=True)

_DEFAULT_VLAN: Final = 1
"""The VLAN a bridge puts every new port into."""

_VLANS: Final = re.compile(r"(?:\.?(\d+))?((?::\d+)*)")


class Vlans(NamedTuple):
    """The VLAN of frames without a tag (None: such frames are dropped), and those that pass with their tag."""

    untagged: int | None
    tagged: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Every VLAN once."""
        own = (self.untagged,) if self.untagged is not None else ()
        return (*own, *self.tagged)


def read_vlans(text: str) -> Vlans | None:
    """Read `10`, `.10`, `.10:20:30` or `:20:30`; None for an empty text. `Refused` when it is something else."""
    if not text:
        return None
    match = _VLANS.fullmatch(text)
    if match is None:
        raise Refused(WRONG_INPUT, f"'{text}' is not a vlan; write one like 10, .10:20:30 or :20:30", vlan=text)
    untagged = int(match[1]) if match[1] else None
    tagged = tuple(dict.fromkeys(int(word) for word in match[2].split(":")[1:]))
    for vid in (*((untagged,) if untagged is not None else ()), *tagged):
        if not 1 <= vid <= 4094:
            raise Refused(WRONG_INPUT, f"vlan '{text}': {vid} is not a VLAN id; they are from 1 to 4094", vlan=text)
    return Vlans(untagged, tuple(vid for vid in tagged if vid != untagged))


class Driver:
    """Bridges of this host. It makes none: bridges are the operator's."""

    async def attach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """See `Network.attach`."""
        vlans = read_vlans(nic.vlan)
        bridge = await netlink.find(nic.link)
        objection = _objection(nic, bridge, vlans)
        if bridge is None or objection is not None:
            raise Failed(objection or "", guest=guest.name, nic=nic.index, link=nic.link)
        tap = await netlink.find(interface)
        if tap is None:
            raise Failed(f"there is no interface {interface} to connect to {nic.link}", interface=interface)
        await netlink.change(tap, address=host_side(nic.mac), mtu=bridge.mtu)
        await netlink.change(tap, master=bridge.number)
        if vlans is not None:
            await self._tag(bridge, tap, vlans)
        await netlink.change(tap, state="up")

    async def detach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """See `Network.detach`."""
        tap = await netlink.find(interface)
        if tap is None:
            return
        await netlink.change(tap, state="down")
        if tap.master:
            await netlink.change(tap, master=0)

    async def check(self, nic: GuestNic) -> Sequence[str]:
        """See `Network.check`."""
        try:
            vlans = read_vlans(nic.vlan)
        except Refused as error:
            return (error.message,)
        objection = _objection(nic, await netlink.find(nic.link), vlans)
        return (objection,) if objection is not None else ()

    async def _tag(self, bridge: Link, tap: Link, vlans: Vlans) -> None:
        if _DEFAULT_VLAN not in vlans.all:
            await netlink.vlan_remove(tap, _DEFAULT_VLAN)
        if vlans.untagged is not None:
            await netlink.vlan_add(tap, vlans.untagged, untagged=True)
        for vid in vlans.tagged:
            await netlink.vlan_add(tap, vid)
        for port in await netlink.all_links():
            if port.master == bridge.number and port.kind != "tun":  # an uplink, not another guest
                for vid in vlans.all:
                    await netlink.vlan_add(port, vid)


def _objection(nic: GuestNic, bridge: Link | None, vlans: Vlans | None) -> str | None:
    if bridge is None:
        return (
            f"bridge {nic.link} is not on this node; make it (ip link add name {nic.link} type bridge;"
            f" ip link set {nic.link} up), or choose another link"
        )
    if bridge.kind != "bridge":
        return f"interface {nic.link} is no bridge ({bridge.kind or 'a hardware interface'}); choose another link"
    if vlans is not None and not bridge.vlan_filtering:
        return (
            f"bridge {nic.link} is not VLAN-aware, which vlan '{nic.vlan}' needs; switch it on"
            f" (ip link set {nic.link} type bridge vlan_filtering 1), or empty vlan"
        )
    return None

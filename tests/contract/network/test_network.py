"""What every network driver and every kind of taps does: real ones in the kernel, fake ones in memory."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import pytest

from ganeti.base.errors import Failed
from ganeti.contract.guest import Guest, GuestNic
from ganeti.contract.network import Network, Taps
from ganeti.drivers.network import bridged
from ganeti.drivers.network.fake import FakeNetwork, FakeTaps
from ganeti.drivers.network.taps import SystemTaps

MTU = 1400


class Seen(NamedTuple):
    """An interface, looked at from outside."""

    address: str
    master: str | None
    up: bool
    mtu: int


class World(Protocol):
    """A host with one bridge."""

    taps: Taps
    network: Network
    bridge: str
    prefix: str

    def look(self, interface: str) -> Seen | None:
        """An interface; None when there is none."""

    def close(self) -> None:
        """Take away what the test made."""


class RealWorld:
    """A bridge of the test's own, without an uplink, so that nothing leaves it."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex[:6]
        self.taps: Taps = SystemTaps()
        self.network: Network = bridged.Driver()
        self.bridge = f"gb{mark}"
        self.prefix = f"gt{mark}-"
        subprocess.run(["ip", "link", "add", self.bridge, "mtu", str(MTU), "type", "bridge"], check=True)

    def look(self, interface: str) -> Seen | None:
        done = subprocess.run(["ip", "-json", "link", "show", "dev", interface], capture_output=True, check=False)
        if done.returncode != 0:
            return None
        (link,) = json.loads(done.stdout)
        return Seen(link["address"], link.get("master"), "UP" in link["flags"], link["mtu"])

    def close(self) -> None:
        for name in os.listdir("/sys/class/net"):
            if name == self.bridge or name.startswith(self.prefix):
                subprocess.run(["ip", "link", "del", name], check=True)


class FakeWorld:
    """Everything in memory."""

    def __init__(self) -> None:
        self.fakes = FakeTaps()
        self.taps: Taps = self.fakes
        self.bridge = "xen-br0"
        self.prefix = "gt000000-"
        self.network: Network = FakeNetwork(self.fakes, [self.bridge])

    def look(self, interface: str) -> Seen | None:
        tap = self.fakes.there.get(interface)
        return Seen(tap.address, tap.master, tap.up, MTU) if tap is not None else None

    def close(self) -> None:
        """Memory goes by itself."""


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "real" and (os.geteuid() != 0 or not os.path.exists("/dev/net/tun")):
        pytest.skip("taps and bridges need root and /dev/net/tun")
    world: World = RealWorld() if request.param == "real" else FakeWorld()
    try:
        yield world
    finally:
        world.close()


GUEST = Guest(
    name="web1.example.com",
    uuid=str(uuid.uuid4()),
    hypervisor="kvm",
    hvparams={},
    maxmem_mib=64,
    minmem_mib=64,
    vcpus=1,
)


def nic(link: str, vlan: str = "") -> GuestNic:
    return GuestNic(index=0, uuid=str(uuid.uuid4()), mac="aa:00:00:12:34:56", mode="bridged", link=link, vlan=vlan)


async def test_a_tap_has_the_guests_address_but_for_the_first_octet(world: World) -> None:
    await world.taps.create(f"{world.prefix}0", mac="aa:00:00:12:34:56")

    seen = world.look(f"{world.prefix}0")
    assert seen is not None
    assert seen.address == "fe:00:00:12:34:56"


async def test_making_a_tap_again_keeps_it(world: World) -> None:
    await world.taps.create(f"{world.prefix}0", mac="aa:00:00:12:34:56", queues=4)
    await world.network.attach(GUEST, nic(world.bridge), f"{world.prefix}0")

    await world.taps.create(f"{world.prefix}0", mac="aa:00:00:12:34:56", queues=4)

    seen = world.look(f"{world.prefix}0")
    assert seen is not None
    assert seen.master == world.bridge


async def test_taps_are_listed_by_their_prefix_only(world: World) -> None:
    await world.taps.create(f"{world.prefix}1", mac="aa:00:00:12:34:57")
    await world.taps.create(f"{world.prefix}0", mac="aa:00:00:12:34:56", vnet_hdr=False)

    assert await world.taps.list(world.prefix) == [f"{world.prefix}0", f"{world.prefix}1"]
    assert await world.taps.list(f"{world.prefix}1") == [f"{world.prefix}1"]
    assert await world.taps.list(world.bridge) == []


async def test_a_tap_is_gone_after_its_removal_and_removing_it_again_is_fine(world: World) -> None:
    await world.taps.create(f"{world.prefix}0", mac="aa:00:00:12:34:56")

    await world.taps.remove(f"{world.prefix}0")
    await world.taps.remove(f"{world.prefix}0")

    assert world.look(f"{world.prefix}0") is None
    assert await world.taps.list(world.prefix) == []


@pytest.mark.parametrize("name", ["", "sixteen-letters0"])
async def test_a_tap_cannot_have_a_name_the_kernel_does_not_take(world: World, name: str) -> None:
    with pytest.raises(Failed, match="1 to 15 characters"):
        await world.taps.create(name, mac="aa:00:00:12:34:56")


async def test_an_attached_interface_is_up_on_the_bridge_with_its_mtu(world: World) -> None:
    interface = f"{world.prefix}0"
    await world.taps.create(interface, mac="aa:00:00:12:34:56")

    await world.network.attach(GUEST, nic(world.bridge), interface)
    await world.network.attach(GUEST, nic(world.bridge), interface)

    assert world.look(interface) == Seen("fe:00:00:12:34:56", world.bridge, True, MTU)


async def test_a_detached_interface_is_there_but_on_no_bridge(world: World) -> None:
    interface = f"{world.prefix}0"
    await world.taps.create(interface, mac="aa:00:00:12:34:56")
    await world.network.attach(GUEST, nic(world.bridge), interface)

    await world.network.detach(GUEST, nic(world.bridge), interface)
    await world.network.detach(GUEST, nic(world.bridge), interface)

    seen = world.look(interface)
    assert seen is not None
    assert (seen.master, seen.up) == (None, False)


async def test_detaching_an_interface_that_is_gone_is_fine(world: World) -> None:
    await world.network.detach(GUEST, nic(world.bridge), f"{world.prefix}0")

    assert world.look(f"{world.prefix}0") is None


async def test_a_missing_bridge_is_told_and_the_interface_left_as_it_was(world: World) -> None:
    interface = f"{world.prefix}0"
    await world.taps.create(interface, mac="aa:00:00:12:34:56")
    before = world.look(interface)

    with pytest.raises(Failed, match="bridge gtnowhere is not on this node"):
        await world.network.attach(GUEST, nic("gtnowhere"), interface)

    assert world.look(interface) == before
    (sentence,) = await world.network.check(nic("gtnowhere"))
    assert "gtnowhere" in sentence


async def test_a_missing_interface_is_told(world: World) -> None:
    with pytest.raises(Failed, match=f"no interface {world.prefix}0"):
        await world.network.attach(GUEST, nic(world.bridge), f"{world.prefix}0")


async def test_nothing_stands_against_a_bridge_that_is_there(world: World) -> None:
    assert list(await world.network.check(nic(world.bridge))) == []


@pytest.mark.parametrize("vlan", ["x", "0", "4095", "10:", "1.2", "10,20"])
async def test_a_vlan_that_is_none_stands_against_the_nic(world: World, vlan: str) -> None:
    (sentence,) = await world.network.check(nic(world.bridge, vlan))

    assert vlan in sentence

"""Bridges beyond the suite: what is no bridge, and VLANs (pure where this kernel has no VLAN-aware bridges)."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from ganeti.base.errors import Failed
from ganeti.contract.guest import Guest, GuestNic
from ganeti.drivers.network import bridged
from ganeti.drivers.network.bridged import Vlans, read_vlans
from ganeti.drivers.network.taps import TAP_PREFIX, SystemTaps, host_side, tap_name, tap_prefix

GUEST = Guest(name="g", uuid="u", hypervisor="kvm", hvparams={}, maxmem_mib=64, minmem_mib=64, vcpus=1)


def nic(link: str, vlan: str = "") -> GuestNic:
    return GuestNic(index=0, uuid="u", mac="aa:00:00:12:34:56", mode="bridged", link=link, vlan=vlan)


@pytest.fixture
def bridge() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("bridges need root")
    name = f"gb{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


@pytest.mark.parametrize(
    "text, vlans",
    [
        ("", None),
        ("10", Vlans(10, ())),
        (".10", Vlans(10, ())),
        (".10:20:30", Vlans(10, (20, 30))),
        (":20:30:20", Vlans(None, (20, 30))),
        ("10:10:20", Vlans(10, (20,))),
    ],
)
def test_vlans_are_read_as_they_are_known(text: str, vlans: Vlans | None) -> None:
    assert read_vlans(text) == vlans


def test_names_of_taps_fit_the_kernel_and_tell_the_guest() -> None:
    name = tap_name("9ba1d8f4-1e2b-4c3d-8899-aabbccddeeff", 99)

    assert name == "gnt-9ba1d8f4-99"
    assert len(name) <= 15
    assert name.startswith(tap_prefix("9ba1d8f4-1e2b-4c3d-8899-aabbccddeeff"))
    assert name.startswith(TAP_PREFIX)
    assert host_side("aa:00:00:12:34:56") == "fe:00:00:12:34:56"


async def test_an_interface_that_is_no_bridge_is_refused() -> None:
    (sentence,) = await bridged.Driver().check(nic("lo"))

    assert sentence.startswith("interface lo is no bridge")


async def test_an_interface_that_is_no_tap_is_not_taken_for_one() -> None:
    with pytest.raises(Failed, match="lo is there and is no tap"):
        await SystemTaps().create("lo", mac="aa:00:00:12:34:56")


async def test_vlans_need_a_bridge_that_knows_them(bridge: str) -> None:
    (sentence,) = await bridged.Driver().check(nic(bridge, ".10"))

    assert f"ip link set {bridge} type bridge vlan_filtering 1" in sentence


async def test_vlans_are_set_on_the_tap_and_on_the_uplink(bridge: str) -> None:
    aware = ["ip", "link", "set", bridge, "type", "bridge", "vlan_filtering", "1"]
    if subprocess.run(aware, capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel has no VLAN-aware bridges (CONFIG_BRIDGE_VLAN_FILTERING)")
    uplink, tap = f"{bridge}u", f"{bridge}t"
    subprocess.run(["ip", "link", "add", uplink, "type", "dummy"], check=True)
    try:
        subprocess.run(["ip", "link", "set", uplink, "master", bridge], check=True)
        await SystemTaps().create(tap, mac="aa:00:00:12:34:56")
        await bridged.Driver().attach(GUEST, nic(bridge, ".10:20"), tap)

        shown = json.loads(subprocess.run(["bridge", "-json", "vlan"], capture_output=True, check=True).stdout)

        seen = {port["ifname"]: {vlan["vlan"]: vlan.get("flags", []) for vlan in port["vlans"]} for port in shown}
        assert seen[tap] == {10: ["PVID", "Egress Untagged"], 20: []}
        assert {10, 20} <= set(seen[uplink])
    finally:
        await SystemTaps().remove(tap)
        subprocess.run(["ip", "link", "del", uplink], check=True)

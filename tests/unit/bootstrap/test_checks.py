"""A host that is not fit for a cluster is refused, with the cause and the way out in the sentence."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ganeti.base.errors import Refused
from ganeti.main import checks
from ganeti.main.detect import HostFacts

CLUSTER = "cluster.example.com"


def test_a_fit_host_gives_both_addresses(fit: HostFacts) -> None:
    checks.no_cluster_here(fit)
    assert checks.host_address(fit, CLUSTER) == "192.0.2.10"
    assert checks.cluster_address(fit, CLUSTER, "192.0.2.10") == "192.0.2.20"


def test_only_root_may() -> None:
    checks.root(0, "gnt-cluster init")
    with pytest.raises(Refused, match="gnt-cluster init changes this host and needs root"):
        checks.root(1000, "gnt-cluster init")


@pytest.mark.parametrize(
    "changes, cause, way_out",
    [
        ({"member_of": "old.example.com"}, "in the cluster old.example.com already", "gnt-cluster destroy"),
        ({"leftovers": ("/var/lib/ganeti/config.data",)}, "/var/lib/ganeti/config.data", "move them"),
        ({"leftovers": tuple(f"/var/lib/ganeti/{n}" for n in range(9))}, "and 4 more", "move them"),
        ({"leftovers": ("/var/lib/ganeti/init.json",)}, "init.json", "gnt-cluster destroy --yes-do-it"),
    ],
)
def test_a_host_that_is_taken_is_refused(fit: HostFacts, changes: dict[str, Any], cause: str, way_out: str) -> None:
    with pytest.raises(Refused) as refusal:
        checks.no_cluster_here(replace(fit, **changes))
    assert cause in refusal.value.message
    assert way_out in refusal.value.message


@pytest.mark.parametrize(
    "changes, cause, way_out",
    [
        ({"host_name": "node1"}, "'node1' and has no domain", "hostnamectl set-hostname node1.example.com"),
        ({"host_addresses": ()}, "does not resolve", "/etc/hosts"),
        ({"host_addresses": ("127.0.1.1",)}, "resolves to 127.0.1.1", "take the name off the line"),
        ({"host_addresses": ("192.0.2.10", "127.0.1.1")}, "resolves to 127.0.1.1", "take the name off the line"),
        ({"host_addresses": ("192.0.2.77",)}, "this host has 192.0.2.10, 198.51.100.10", "/etc/hosts"),
        ({"local": {"127.0.0.1": "lo"}}, "but this host has no address", "/etc/hosts"),
        ({"host_name": CLUSTER}, "name of its node", "a name and an address of its own"),
    ],
)
def test_a_bad_host_name_is_refused(fit: HostFacts, changes: dict[str, Any], cause: str, way_out: str) -> None:
    with pytest.raises(Refused) as refusal:
        checks.host_address(replace(fit, **changes), CLUSTER)
    assert cause in refusal.value.message
    assert way_out in refusal.value.message


@pytest.mark.parametrize(
    "changes, cause",
    [
        ({"cluster_addresses": ()}, "does not resolve"),
        ({"cluster_addresses": ("127.0.0.1",)}, "resolves to 127.0.0.1"),
        ({"cluster_addresses": ("192.0.2.20", "::1")}, "no other host can reach"),
        ({"cluster_addresses": ("192.0.2.10",)}, "which is the address of this node"),
        ({"cluster_addresses": ("198.51.100.10",)}, "in use on eth1 of this host"),
        ({"answers": "TCP port 1811"}, r"somebody answers there (TCP port 1811)"),
        ({"answers": "ping"}, r"somebody answers there (ping)"),
    ],
)
def test_a_bad_cluster_name_is_refused(fit: HostFacts, changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(Refused) as refusal:
        checks.cluster_address(replace(fit, **changes), CLUSTER, "192.0.2.10")
    assert cause in refusal.value.message
    assert CLUSTER in refusal.value.message or "address of the cluster" in refusal.value.message


def test_a_missing_bridge_says_how_to_make_it(fit: HostFacts) -> None:
    assert checks.bridge_exists(fit, "xen-br0") == "xen-br0"
    with pytest.raises(Refused, match="ip link add br9 type bridge"):
        checks.bridge_exists(fit, "br9")


def test_a_missing_device_says_which_there_are(fit: HostFacts) -> None:
    with pytest.raises(Refused, match=r"no network device 'eth9'.*lo, eth0, eth1, xen-br0.*--master-netdev"):
        checks.device_exists(fit, "eth9")


@pytest.mark.parametrize(
    "groups, cause",
    [({}, "this host has none"), ({"other": 99999.0}, "this host has other"), ({"xenvg": 20476.0}, "has 20476 MiB")],
)
def test_a_volume_group_that_is_missing_or_small_is_refused(
    fit: HostFacts, groups: dict[str, float], cause: str
) -> None:
    with pytest.raises(Refused, match=cause) as refusal:
        checks.volume_group_usable(replace(fit, volume_groups=groups), "xenvg", ["drbd", "plain"])
    assert "--enabled-disk-templates=file,diskless" in refusal.value.message


def test_a_volume_group_of_exactly_20_gib_is_enough(fit: HostFacts) -> None:
    facts = replace(fit, volume_groups={"xenvg": 20480.0})
    assert checks.volume_group_usable(facts, "xenvg", ["plain"]) == "xenvg"


def test_the_secondary_address_is_local_or_the_primary(fit: HostFacts) -> None:
    assert checks.secondary_address(fit, None, "192.0.2.10") == "192.0.2.10"
    assert checks.secondary_address(fit, "198.51.100.10", "192.0.2.10") == "198.51.100.10"
    for wrong in ("203.0.113.1", "127.0.0.1", "2001:db8::1"):
        with pytest.raises(Refused, match="not an IPv4 address that other nodes reach"):
            checks.secondary_address(fit, wrong, "192.0.2.10")
    with pytest.raises(Refused, match="needs an IPv4 address for replication"):
        checks.secondary_address(fit, None, "2001:db8::1")

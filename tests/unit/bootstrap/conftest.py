"""Give the tests of init a host that is fit for a cluster, a catalog, and programs that answer from a script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ganeti.base.errors import Failed
from ganeti.base.processes import Done
from ganeti.main.detect import HostFacts
from ganeti.model.params import Param
from ganeti.model.traits import Catalog, HypervisorTraits, NetworkTraits, StorageTraits


def link(name: str, *addresses: str, kind: str = "") -> dict[str, Any]:
    """A device as `ip -json -details address show` describes it."""
    infos: list[dict[str, str]] = [
        {"family": "inet6" if ":" in each else "inet", "local": each, "scope": "global"} for each in addresses
    ]
    return {"ifname": name, "addr_info": infos} | ({"linkinfo": {"info_kind": kind}} if kind else {})


class ScriptedRunner:
    """Knows some programs by their first words; others do not exist, as on a bare host. `ip` keeps real state."""

    def __init__(self, answers: Mapping[str, tuple[int, str]] | None = None) -> None:
        self.answers = dict(answers or {})
        self.links: list[dict[str, Any]] = [link("lo", "127.0.0.1", "::1"), link("eth0", "192.0.2.10")]
        self.ran: list[str] = []

    def addresses(self, device: str) -> list[str]:
        [found] = [each for each in self.links if each["ifname"] == device]
        infos: list[dict[str, str]] = found["addr_info"]
        return [info["local"] for info in infos]

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        output_path: str | None = None,
    ) -> Done:
        words = list(argv)
        self.ran.append(" ".join(words))
        for known, (status, text) in self.answers.items():
            if self.ran[-1].startswith(known):
                return Done(argv=tuple(words), status=status, stdout=text, stderr=text if status else "")
        match words:
            case ["ip", "-json", "-details", "address", "show"]:
                return Done(argv=tuple(words), status=0, stdout=json.dumps(self.links), stderr="")
            case ["ip", "-json", "address", "show", "dev", device]:
                found = [each for each in self.links if each["ifname"] == device]
                text = json.dumps(found)
                return Done(argv=tuple(words), status=0 if found else 1, stdout=text, stderr="")
            case ["ip", "address", "add" | "del" as deed, prefixed, "dev", device]:
                [changed] = [each for each in self.links if each["ifname"] == device]
                infos: list[dict[str, str]] = changed["addr_info"]
                address = prefixed.split("/")[0]
                assert (address in self.addresses(device)) == (deed == "del"), "File exists / Cannot assign"
                if deed == "add":
                    infos.append({"family": "inet", "local": address, "scope": "global"})
                else:
                    infos[:] = [info for info in infos if info["local"] != address]
                return Done(argv=tuple(words), status=0, stdout="", stderr="")
            case _:
                raise Failed(f"cannot run {words[0]}: No such file or directory")


class ScriptedNames:
    """A resolver with a table."""

    def __init__(self, table: Mapping[str, tuple[str, ...]]) -> None:
        self.table = dict(table)

    async def addresses(self, name: str, family: int) -> tuple[str, ...]:
        return tuple(each for each in self.table.get(name, ()) if (":" in each) == (family == 6))


@pytest.fixture
def fit() -> HostFacts:
    """A host on which every check passes."""
    return HostFacts(
        uid=0,
        host_name="node1.example.com",
        host_addresses=("192.0.2.10",),
        cluster_addresses=("192.0.2.20",),
        local={"127.0.0.1": "lo", "192.0.2.10": "eth0", "198.51.100.10": "eth1"},
        devices=("lo", "eth0", "eth1", "xen-br0"),
        bridges=("xen-br0",),
    )


@pytest.fixture
def catalog() -> Catalog:
    """Drivers like the real ones, those for LVM and Xen among them."""
    kvm = (
        Param(name="kernel_path", kind="string", default="", absolute_path=True),
        Param(name="serial_speed", kind="int", default=38400, minimum=9600, maximum=115200),
        Param(name="migration_port", kind="int", default=8102, cluster_only=True),
    )
    hypervisors = [
        HypervisorTraits(name="kvm", params=kvm),
        HypervisorTraits(name="xen-pvm", params=()),
        HypervisorTraits(name="fake", params=()),
    ]
    storages = [
        StorageTraits(template="file", storage_type="file", mirrored="none", file_based=True),
        StorageTraits(template="diskless", storage_type="diskless", mirrored="none", has_disks=False),
        StorageTraits(
            template="plain",
            storage_type="lvm-vg",
            mirrored="none",
            lvm=True,
            params=(Param(name="stripes", kind="int", default=1, minimum=1),),
        ),
        StorageTraits(template="drbd", storage_type="lvm-vg", mirrored="internal", lvm=True),
    ]
    networks = [
        NetworkTraits(mode="bridged", link_is="a bridge", link_checked=True),
        NetworkTraits(mode="routed", link_is="a routing table"),
    ]
    return Catalog(
        hypervisors={each.name: each for each in hypervisors},
        storages={each.template: each for each in storages},
        networks={each.mode: each for each in networks},
    )

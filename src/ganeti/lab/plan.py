"""What a lab is to be: its hosts with their names and addresses. Pure, and the same each time for the same wishes."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused

MOST_NODES: Final = 99
CLUSTER_NAMES: Final = ("cluster", "cluster2", "cluster3")
INSTANCE_NAMES: Final = tuple(f"inst{number}" for number in range(1, 21))

_FIRST_INSTANCE: Final = 101
_FIRST_CLUSTER: Final = 200
_FABRIC: Final = 254
_LAB_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class Cable(msgspec.Struct, frozen=True, kw_only=True):
    """One network card of a host, and the fabric bridge it is plugged into."""

    device: str
    """Its name in the host: `eth0`."""
    port: str
    """The name of its other end, in the fabric."""
    fabric: str
    mac: str
    address: str
    """With the length of the prefix: `10.77.1.2/24`."""


class HostPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One host. The first cable is a port of its bridge, which then carries the address."""

    name: str
    fqdn: str
    cables: tuple[Cable, ...]

    @property
    def address(self) -> str:
        """The primary address, without prefix."""
        return self.cables[0].address.partition("/")[0]


class LabPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole lab."""

    name: str
    domain: str
    hosts: tuple[HostPlan, ...]
    fabrics: dict[str, str]
    """Name of a fabric bridge to its own address with prefix."""
    names: dict[str, str]
    """Every fully qualified name that hosts shall resolve, to its address."""
    shared_storage: bool = False
    """Whether /srv/ganeti/shared-file-storage is the same directory on all hosts."""
    kvm: bool = True
    """Whether hosts see the machine's /dev/kvm."""

    def host(self, name: str) -> HostPlan:
        """The host of that short or full name. `Refused` when there is none."""
        for host in self.hosts:
            if name in (host.name, host.fqdn):
                return host
        raise Refused(
            WRONG_INPUT,
            f"the lab {self.name} has no host {name}; it has {', '.join(host.name for host in self.hosts)}",
        )


def draw(
    *, name: str, nodes: int, domain: str, number: int, secondary: bool, shared_storage: bool, kvm: bool
) -> LabPlan:
    """Plan a lab. `number` (1 to 254) tells its networks from those of other labs: 10.77.NUMBER.0/24.

    `secondary`: a second card and network (10.78.NUMBER.0/24) for each host. `Refused` for wishes nobody can meet.
    """
    checked_name(name)
    if not 1 <= nodes <= MOST_NODES:
        raise Refused(WRONG_INPUT, f"a lab has 1 to {MOST_NODES} hosts, not {nodes}")
    if len(domain) > 200 or not _DOMAIN.fullmatch(domain):
        raise Refused(WRONG_INPUT, f"{domain!r} is no domain name; one is lab.example")
    networks = [ipaddress.IPv4Network(f"10.{77 + each}.{number}.0/24") for each in range(2 if secondary else 1)]
    hosts = tuple(_host(name, domain, order, networks) for order in range(1, nodes + 1))
    names = {host.fqdn: host.address for host in hosts}
    for first, others in ((_FIRST_INSTANCE, INSTANCE_NAMES), (_FIRST_CLUSTER, CLUSTER_NAMES)):
        names |= {f"{other}.{domain}": str(networks[0][first + index]) for index, other in enumerate(others)}
    return LabPlan(
        name=name,
        domain=domain,
        hosts=hosts,
        fabrics={f"fabric{index}": f"{network[_FABRIC]}/24" for index, network in enumerate(networks)},
        names=names,
        shared_storage=shared_storage,
        kvm=kvm,
    )


def checked_name(name: str) -> str:
    """The name of a lab; it is part of paths and of names of control groups."""
    if not _LAB_NAME.fullmatch(name):
        raise Refused(
            WRONG_INPUT,
            f"{name!r} is no name for a lab: up to 31 lower-case letters, digits and hyphens, a letter first",
        )
    return name


def hosts_file(plan: LabPlan) -> str:
    """The content of /etc/hosts, on every host of the lab the same."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{address} {fqdn} {fqdn.partition('.')[0]}" for fqdn, address in plan.names.items()]
    return "\n".join(lines) + "\n"


def _host(lab: str, domain: str, order: int, networks: list[ipaddress.IPv4Network]) -> HostPlan:
    name = f"node{order}"
    cables = tuple(
        Cable(
            device=f"eth{index}",
            port=f"{name}-eth{index}",
            fabric=f"fabric{index}",
            mac=_mac(f"{lab}/{name}/{index}"),
            address=f"{network[order]}/24",
        )
        for index, network in enumerate(networks)
    )
    return HostPlan(name=name, fqdn=f"{name}.{domain}", cables=cables)


def _mac(owner: str) -> str:
    """The same card has the same address after a power failure, as a real one."""
    return ":".join(["02", *(f"{byte:02x}" for byte in hashlib.sha256(owner.encode()).digest()[:5])])

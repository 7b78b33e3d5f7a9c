"""Refuse to make a cluster on a host that is not fit for one, naming cause and way out. Pure: judges `HostFacts`.

Spec: cli, behaviour notes of `gnt-cluster init`; seed, rows 9 to 17 and 94 to 104.
"""

from __future__ import annotations

from typing import Final

from ganeti.base.errors import (
    ENVIRONMENT,
    EXISTS,
    NO_RESOURCES,
    NOT_UNIQUE,
    RESOLVER,
    WRONG_INPUT,
    WRONG_STATE,
    Refused,
)
from ganeti.main.detect import HostFacts, is_loopback
from ganeti.model.names import checked_host, is_fully_qualified

VOLUME_GROUP_MIN_MIB: Final = 20480
RECORD: Final = "init.json"
"""Name of the file in the data directory that tells what init made on a host (`ganeti.main.traces`)."""

_SHOWN_LEFTOVERS: Final = 5


def root(uid: int, command: str) -> None:
    """Only root may change the host."""
    if uid != 0:
        raise Refused(ENVIRONMENT, f"{command} changes this host and needs root; run it as root, or with sudo")


def no_cluster_here(facts: HostFacts) -> None:
    """A host is in one cluster at a time, and what an old one left must not be mistaken for the new one's."""
    if facts.member_of is not None:
        raise Refused(
            EXISTS,
            f"this host is in the cluster {facts.member_of} already; "
            "'gnt-cluster destroy --yes-do-it' would remove that cluster from it",
            cluster=facts.member_of,
        )
    if facts.leftovers:
        shown = list(facts.leftovers[:_SHOWN_LEFTOVERS])
        more = len(facts.leftovers) - len(shown)
        raise Refused(
            WRONG_STATE,
            f"there are files of another cluster: {', '.join(shown)}{f' and {more} more' if more else ''}; "
            + (
                "remove what an interrupted init or destroy left with 'gnt-cluster destroy --yes-do-it'"
                if any(path.endswith(f"/{RECORD}") for path in facts.leftovers)
                else "move them to another place if you need them, else remove them"
            ),
            files=list(facts.leftovers),
        )


def host_address(facts: HostFacts, cluster_name: str) -> str:
    """The address of this node, or why its name cannot be used."""
    name = facts.host_name
    if not is_fully_qualified(name):
        raise Refused(
            ENVIRONMENT,
            f"the name of this host is '{name}' and has no domain; give it its full name, for example "
            f"'hostnamectl set-hostname {name or 'node1'}.example.com', and map that to its address in /etc/hosts",
            host=name,
        )
    checked_host(name, what="host name")
    way_out = f"put a line 'ADDRESS {name}' with the address of this host into /etc/hosts"
    if not facts.host_addresses:
        raise Refused(RESOLVER, f"the name of this host, {name}, does not resolve; {way_out}", host=name)
    for address in facts.host_addresses:
        if is_loopback(address):
            raise Refused(
                ENVIRONMENT,
                f"the name of this host, {name}, resolves to {address}, where no other host can reach it; {way_out}, "
                f"and take the name off the line with {address}",
                host=name,
                address=address,
            )
    address = facts.host_addresses[0]
    if address not in facts.local:
        raise Refused(
            ENVIRONMENT,
            f"the name of this host, {name}, resolves to {address}, but this host has "
            f"{_listed([each for each in facts.local if not is_loopback(each)], none='no address')}; {way_out}",
            host=name,
            address=address,
        )
    if cluster_name == name:
        raise Refused(
            NOT_UNIQUE,
            f"the cluster cannot have the name of its node, {name}; give it a name and an address of its own",
            name=name,
        )
    return address


def cluster_address(facts: HostFacts, cluster_name: str, node_address: str) -> str:
    """The address of the cluster, or why its name cannot be used."""
    if not facts.cluster_addresses:
        raise Refused(
            RESOLVER,
            f"the name of the cluster, {cluster_name}, does not resolve; choose an unused address for it and put a "
            f"line 'ADDRESS {cluster_name}' into /etc/hosts, or add it to your DNS",
            name=cluster_name,
        )
    address = facts.cluster_addresses[0]
    way_out = f"let it resolve to an unused address (in /etc/hosts, say: 'ADDRESS {cluster_name}')"
    if any(is_loopback(each) for each in facts.cluster_addresses):
        raise Refused(
            WRONG_INPUT,
            f"the name of the cluster, {cluster_name}, resolves to {_listed(facts.cluster_addresses)}, "
            f"where no other host can reach it; {way_out}",
            name=cluster_name,
            address=address,
        )
    if address == node_address:
        raise Refused(
            NOT_UNIQUE,
            f"the name of the cluster, {cluster_name}, resolves to {address}, which is the address of this node; the "
            f"cluster needs one of its own that can move to another node: {way_out}",
            name=cluster_name,
            address=address,
        )
    device = facts.local.get(address)
    if device is not None:
        raise Refused(
            NOT_UNIQUE,
            f"the address of the cluster, {address}, is in use on {device} of this host; if an old cluster left it, "
            f"take it away with 'ip address del {address} dev {device}', else {way_out}",
            name=cluster_name,
            address=address,
        )
    if facts.answers is not None:
        raise Refused(
            NOT_UNIQUE,
            f"the address of the cluster, {address}, is in use: somebody answers there ({facts.answers}); {way_out}",
            name=cluster_name,
            address=address,
        )
    return address


def device_exists(facts: HostFacts, device: str) -> str:
    """The device for the address of the cluster."""
    if device not in facts.devices:
        raise Refused(
            WRONG_INPUT,
            f"this host has no network device '{device}' for the address of the cluster; it has "
            f"{_listed(facts.devices)}: choose one with --master-netdev",
            device=device,
        )
    return device


def bridge_exists(facts: HostFacts, bridge: str) -> str:
    """The bridge that new instances are connected to."""
    if bridge not in facts.bridges:
        raise Refused(
            ENVIRONMENT,
            f"this host has no bridge '{bridge}' (it has {_listed(facts.bridges, none='none')}); make it with "
            f"'ip link add {bridge} type bridge && ip link set {bridge} up', or name another one with "
            "--nic-parameters link=BRIDGE",
            bridge=bridge,
        )
    return bridge


def volume_group_usable(facts: HostFacts, group: str | None, templates: list[str]) -> str:
    """The volume group for templates on LVM."""
    wanted = f"disk template {_listed(templates)}" if templates else f"--vg-name={group}"
    instead = "--enabled-disk-templates=file,diskless without --vg-name does without one"
    if not group:
        raise Refused(WRONG_INPUT, f"{wanted} needs a volume group: name it with --vg-name; {instead}")
    if group not in facts.volume_groups:
        raise Refused(
            ENVIRONMENT,
            f"{wanted} needs volume group '{group}', and this host has {_listed(facts.volume_groups, none='none')}; "
            f"make it with 'vgcreate {group} DEVICE', or name another one with --vg-name; {instead}",
            vg=group,
        )
    size_mib = facts.volume_groups[group]
    if size_mib < VOLUME_GROUP_MIN_MIB:
        raise Refused(
            NO_RESOURCES,
            f"volume group '{group}' has {size_mib:.0f} MiB, and {wanted} needs one of at least "
            f"{VOLUME_GROUP_MIN_MIB} MiB; extend it with 'vgextend {group} DEVICE'; {instead}",
            vg=group,
            size_mib=size_mib,
        )
    return group


def secondary_address(facts: HostFacts, asked: str | None, primary: str) -> str:
    """The address for replication: the one asked for if this host owns it, else the primary one."""
    if not asked:
        if ":" in primary:
            raise Refused(
                WRONG_INPUT, "a node with an IPv6 address needs an IPv4 address for replication; name it with -s"
            )
        return primary
    if ":" in asked or is_loopback(asked) or asked not in facts.local:
        raise Refused(
            WRONG_INPUT,
            f"the secondary address {asked} is not an IPv4 address that other nodes reach this host by; it has "
            f"{_listed([each for each in facts.local if not is_loopback(each)])}",
            address=asked,
        )
    return asked


def _listed(names: object, *, none: str = "nothing") -> str:
    words = [str(each) for each in names] if isinstance(names, (list, tuple, dict)) else [str(names)]
    return ", ".join(words) or none

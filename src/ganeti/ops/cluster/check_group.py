"""What nodes have, compared with what the configuration says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.node import NodeFacts, NodeInventory
from ganeti.contract.calls.os import OsList
from ganeti.contract.guest import GuestState
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Node, Uuid
from ganeti.ops.cluster.findings import Finding
from ganeti.ops.parts import policies
from ganeti.ops.parts.instances import is_alive

CLOCK_SKEW_S: Final = 150.0

Inventories = dict[Uuid, NodeInventory | Unavailable | Failed]

_PATH_CODES: Final = {
    "file": "ENODEFILESTORAGEPATHUNUSABLE",
    "sharedfile": "ENODESHAREDFILESTORAGEPATHUNUSABLE",
    "gluster": "ENODEGLUSTERSTORAGEPATHUNUSABLE",
    "lvm-vg": "ENODELVM",
}
"""Storage type to the code that its problems have."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says against one set of hypervisor parameters; without `users` those are the cluster's."""

    node: Uuid
    hypervisor: str
    users: tuple[str, ...]
    sentences: tuple[str, ...]


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the nodes of a group said between two moments of the master's clock."""

    began_s: float
    ended_s: float
    inventories: Inventories
    facts: dict[Uuid, NodeFacts | Unavailable | Failed] = {}
    oses: dict[Uuid, OsList] = {}
    sizes_mib: dict[Uuid, int | None] = {}
    """Of disks that no inventory shows, by their UUID; None: no data."""
    probes: tuple[Probe, ...] = ()


def address_of(template: str, logical_id: Sequence[Any]) -> tuple[str, Any]:
    """What tells data apart: the last part of an address. A file's driver, say, is not found by looking at it."""
    return (template, logical_id[-1] if logical_id else "")


def reachable(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Silent nodes, and what nodes still owe."""
    for node in nodes:
        answer = facts.inventories.get(node.uuid)
        if isinstance(answer, (Unavailable, Failed)):
            yield Finding(code="ENODERPC", name=node.name, message=answer.message)
        count = view.debts.get(node.uuid, 0)
        if count:
            yield Finding(
                code="ENODESETUP",
                name=node.name,
                message=f"owes {count} reversals of jobs that failed while it was silent; they are done when it answers",
                error=False,
            )


def nodes(view: View, nodes: Sequence[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Version, clock, hypervisors, storage, OS definitions."""
    answers = {node.uuid: found for node in nodes if (found := _inventory(facts, node)) is not None}
    master = answers.get(view.cluster.master_node)
    version = master.version if master is not None else next((found.version for found in answers.values()), "")
    for node in nodes:
        found = answers.get(node.uuid)
        if found is None:
            continue
        if found.version != version:
            yield _node(node, "ENODEVERSION", f"runs version {found.version}, and others run {version}")
        early_s, late_s = facts.began_s - found.now_s, found.now_s - facts.ended_s
        if max(early_s, late_s) > CLOCK_SKEW_S:
            yield _node(
                node,
                "ENODETIME",
                f"its clock differs by {max(early_s, late_s):.1f} s, and {CLOCK_SKEW_S:g} s are the limit",
            )
        if found.name != node.name:
            yield _node(node, "ENODESETUP", f"calls itself {found.name}")
        yield from _problems(view, node, found)
    for probe in facts.probes:
        yield from _hypervisor(view.picture.nodes[probe.node], probe)
    yield from _os_definitions(view, nodes, facts)


def _problems(view: View, node: Node, found: NodeInventory) -> Iterator[Finding]:
    for name, sentence in found.problems.items():
        if name in view.catalog.hypervisors:
            yield _node(node, "ENODEHV", f"hypervisor {name}: {sentence}")
        elif name in view.catalog.storages:
            code = _PATH_CODES.get(view.catalog.storage(name).storage_type, "ENODESETUP")
            yield _node(node, code, f"disk template {name}: {sentence}")
        elif ":" not in name:  # links are told by `interfaces`
            yield _node(node, "ENODESETUP", f"{name}: {sentence}")


def _hypervisor(node: Node, probe: Probe) -> Iterator[Finding]:
    """Defaults that nobody uses yet are a warning: a fresh cluster may have none that fit."""
    whose = "the cluster's parameters" if not probe.users else f"the parameters of {_some(probe.users)}"
    for sentence in probe.sentences:
        yield _node(node, "ENODEHV", f"hypervisor {probe.hypervisor} with {whose}: {sentence}", error=bool(probe.users))


def _os_definitions(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    for node in nodes:
        if node.uuid not in facts.oses:
            continue
        listed = {found.name: found for found in facts.oses[node.uuid].found}
        used: dict[str, list[str]] = {}
        for instance in view.picture.instances_on(node.uuid):
            if instance.os:
                used.setdefault(instance.os.partition("+")[0], []).append(instance.name)
        for name, users in sorted(used.items()):
            if name not in listed:
                yield _node(node, "ENODEOS", f"OS {name}, which {_some(users)} has, is not there", error=False)
        for found in listed.values():
            if not found.valid:
                words = "; ".join(found.problems)
                yield _node(node, "ENODEOS", f"OS {found.name} cannot be used: {words}", error=found.name in used)


def instances(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Each instance: on a node that can have it, running or not as it should, with its disks, within the policy."""
    for node in nodes:
        found = _inventory(facts, node)
        for instance in sorted(view.picture.instances_on(node.uuid), key=lambda i: i.name):
            if not node.vm_capable:
                yield _instance(instance, "EINSTANCEBADNODE", f"lives on node {node.name}, which is not vm-capable")
            if node.offline:
                yield _instance(instance, "EINSTANCEBADNODE", f"lives on node {node.name}, which is offline")
            yield from (
                _instance(instance, "EINSTANCEPOLICY", sentence, error=False)
                for sentence in policies.violations_of(view, view.cluster, instance)
            )
            if found is not None:
                yield from _state(instance, node, found)
                yield from _disks(instance, node, found, facts)


def _state(instance: Instance, node: Node, found: NodeInventory) -> Iterator[Finding]:
    if instance.hypervisor in found.problems:
        return  # the node could not say, which is told already
    guest = next((each for each in found.guests if each.name == instance.name), None)
    if instance.admin_state == "up" and not is_alive(guest):
        if guest is not None and guest.status == "user-down":
            yield _instance(instance, "EINSTANCEDOWN", f"was shut down by its user on node {node.name}", error=False)
        else:
            yield _instance(instance, "EINSTANCEDOWN", f"should run on node {node.name}, and does not")
    if instance.admin_state != "up" and is_alive(guest):
        yield _instance(
            instance, "EINSTANCEWRONGNODE", f"runs on node {node.name}, and is marked to be {instance.admin_state}"
        )
    if guest is not None and is_alive(guest) and guest.uuid not in (None, "", instance.uuid):
        yield _instance(
            instance, "EINSTANCEWRONGNODE", f"the guest of this name on node {node.name} is another one ({guest.uuid})"
        )


def _disks(instance: Instance, node: Node, found: NodeInventory, facts: GroupFacts) -> Iterator[Finding]:
    sizes = {address_of(each.template, each.address): each.size_mib for each in found.disks}
    for index, disk in enumerate(instance.disks):
        address = address_of(disk.dev_type, disk.logical_id)
        if address in sizes:
            size_mib: int | None = sizes[address]
        elif disk.uuid in facts.sizes_mib:
            size_mib = facts.sizes_mib[disk.uuid]
        else:
            continue  # the node could not say, which is told already
        if size_mib is None:
            yield _instance(instance, "EINSTANCEMISSINGDISK", f"disk/{index} ({address[1]}) is not on node {node.name}")
        elif size_mib != disk.size:
            yield _instance(
                instance,
                "EINSTANCEFAULTYDISK",
                f"disk/{index} ({address[1]}) has {size_mib} MiB on node {node.name}, and should have {disk.size} MiB",
            )


def unknown_guests(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Guests that nobody knows, or that belong to another node."""
    for node in nodes:
        found = _inventory(facts, node)
        for guest in found.guests if found is not None else ():
            uuid = view.picture.instance_names.get(guest.name)
            if uuid is None:
                if not view.reserved.name(guest.name):  # else a job is making it right now
                    yield _node(
                        node, "ENODEORPHANINSTANCE", f"has a guest {guest.name} ({guest.status}) of no instance"
                    )
                continue
            home = view.picture.nodes[view.picture.instances[uuid].primary_node]
            if home.uuid != node.uuid and is_alive(guest):
                yield Finding(
                    code="EINSTANCEWRONGNODE",
                    name=guest.name,
                    message=f"runs on node {node.name}, and lives on node {home.name}",
                )


def unknown_disks(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Data of no instance. What all nodes see is told of the first one only."""
    homes: dict[tuple[str, Any], set[Uuid]] = {}
    for instance in view.picture.instances.values():
        for disk in instance.disks:
            at = {instance.primary_node, *instance.secondary_nodes}
            homes.setdefault(address_of(disk.dev_type, disk.logical_id), set()).update(at)
    told: set[tuple[str, Any]] = set()
    for node in nodes:
        found = _inventory(facts, node)
        for data in found.disks if found is not None else ():
            address = address_of(data.template, data.address)
            everywhere = view.catalog.storage(data.template).mirrored == "external"
            if address in homes and (everywhere or node.uuid in homes[address]):
                continue
            if everywhere and address in told:
                continue
            if data.instance_name is not None and view.reserved.name(data.instance_name):
                continue  # a job is making it right now
            told.add(address)
            of = f" of instance {data.instance_name}" if data.instance_name else ""
            whose = "which lives on another node" if address in homes else "which no instance has"
            yield _node(
                node, "ENODEORPHANLV", f"has a disk {address[1]}{of} ({data.template}, {data.size_mib} MiB), {whose}"
            )


def interfaces(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """Links that NICs need and that are not there; interfaces of guests that do not run."""
    making = any(reservation.names for reservation in view.reserved.by_job.values())
    for node in nodes:
        found = _inventory(facts, node)
        if found is None:
            continue
        used = {
            f"{nic['mode']}:{nic['link']}"
            for instance in view.picture.instances_on(node.uuid)
            for nic in (effective.nic_params(view.cluster, each) for each in instance.nics)
        }
        for name, sentence in found.problems.items():
            if ":" in name:
                yield _node(node, "ENODENET", sentence, error=name in used)
        alive = {guest.name for guest in found.guests if is_alive(guest)}
        owners = [each for each in view.picture.instances_on(node.uuid) if each.name in alive]
        strangers = [
            guest for guest in found.guests if is_alive(guest) and guest.name not in view.picture.instance_names
        ]
        for interface in found.interfaces:
            if any(_belongs(interface, each.uuid) for each in owners):
                continue
            if making or any(_is_strangers(interface, guest) for guest in strangers):
                continue
            yield _node(node, "ENODENET", f"has an interface {interface} of no guest that runs here", error=False)


def _belongs(interface: str, uuid: str) -> bool:
    """Interfaces of a guest carry the beginning of its UUID between their prefix and their number."""
    return uuid.replace("-", "")[:8] in interface.split("-")


def _is_strangers(interface: str, guest: GuestState) -> bool:
    """An unknown guest is told already; so are its interfaces, if it says who it is."""
    return guest.uuid is None or _belongs(interface, guest.uuid)


def redundancy(view: View, nodes: Iterable[Node], facts: GroupFacts) -> Iterator[Finding]:
    """For every node: could it take the mirrored instances of any one other node that fails?"""
    for node in nodes:
        free_mib = _free_mib(facts, node)
        if free_mib is None:
            continue
        needed_mib: dict[Uuid, int] = {}
        for instance in view.picture.instances_mirrored_to(node.uuid):
            backend = effective.backend_params(view.cluster, instance.beparams)
            if backend["auto_balance"] and instance.admin_state == "up":
                mib = needed_mib.get(instance.primary_node, 0) + backend["minmem"]
                needed_mib[instance.primary_node] = mib
        for primary, mib in needed_mib.items():
            if mib > free_mib:
                name = view.picture.nodes[primary].name
                yield _node(
                    node,
                    "ENODEN1",
                    f"has not enough memory to take the instances of node {name} should that fail "
                    f"({mib} MiB needed, {free_mib} MiB free)",
                )


def _free_mib(facts: GroupFacts, node: Node) -> int | None:
    answer = facts.facts.get(node.uuid)
    if not isinstance(answer, NodeFacts) or not answer.hypervisors:
        return None
    return min(host.memory_free_mib for host in answer.hypervisors.values())


def _inventory(facts: GroupFacts, node: Node) -> NodeInventory | None:
    answer = facts.inventories.get(node.uuid)
    return answer if isinstance(answer, NodeInventory) else None


def _node(node: Node, code: str, message: str, *, error: bool = True) -> Finding:
    return Finding(code=code, name=node.name, message=message, error=error)


def _instance(instance: Instance, code: str, message: str, *, error: bool = True) -> Finding:
    return Finding(code=code, name=instance.name, message=message, error=error)


def _some(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"instance {names[0]}" + (f" and {more} more" if more else "")

"""Nodes as lists show them. Spec: cli, "node — 46 fields"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ganeti.contract import api
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.guest import HypervisorFacts
from ganeti.contract.storage import Space
from ganeti.contract.view import View
from ganeti.master.queries.fields import (
    NO_DATA,
    OFFLINE,
    UNAVAILABLE,
    Cell,
    Column,
    Field,
    Kind,
    Need,
    by_name,
    cells,
    chosen,
    each_once,
    looked_up,
    natural,
    plain,
    stored_fields,
)
from ganeti.master.queries.parameters import node_parameter_fields
from ganeti.master.queries.sources import Answers, Sources
from ganeti.model import effective
from ganeti.model.objects import Node, Params, Uuid


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the columns of nodes must know."""

    view: View
    facts: Answers[NodeFacts] = field(default_factory=dict)
    _group_levels: dict[Uuid, Params] = field(default_factory=dict)

    def ndparams(self, node: Node) -> Params:
        """Node parameters in force."""
        level = self._group_levels.get(node.group)
        if level is None:
            group = self.view.picture.groups[node.group]
            level = self._group_levels[node.group] = effective.group_node_params(self.view.cluster, group)
        return {**level, **node.ndparams}


def role(view: View, node: Node) -> str:
    """M master, C master candidate, D drained, O offline, R regular."""
    if node.uuid == view.cluster.master_node:
        return "M"
    if node.master_candidate:
        return "C"
    if node.drained:
        return "D"
    return "O" if node.offline else "R"


class Nodes:
    """The resource `node`."""

    default_fields = ("name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[Look, Node]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[Node]:
        """See `Resource.rows`."""
        return sorted(view.picture.nodes.values(), key=_name_key)

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[Node]:
        """See `Resource.named`."""
        return sorted(each_once(chosen(names, view.picture.node, "Node")), key=_name_key)

    async def look(self, sources: Sources, view: View, rows: Sequence[Node], needs: frozenset[Need]) -> Look:
        """See `Resource.look`."""
        if "facts" not in needs:
            return Look(view=view)
        online = [node.uuid for node in rows if not node.offline]
        return Look(view=view, facts=await sources.live_nodes(online) if online else {})


def _name_key(node: Node) -> list[str | int]:
    return natural(node.name)


def _primaries(look: Look, node: Node) -> list[str]:
    return sorted((instance.name for instance in look.view.picture.instances_on(node.uuid)), key=natural)


def _secondaries(look: Look, node: Node) -> list[str]:
    return sorted((instance.name for instance in look.view.picture.instances_mirrored_to(node.uuid)), key=natural)


def _powered(look: Look, node: Node) -> bool | None:
    return node.powered if look.ndparams(node)["oob_program"] else None


# --- live columns ---


def _live(read: Callable[[Look, NodeFacts], Cell], *, needs_guests: bool = True) -> Callable[[Look], Column[Node]]:
    def value(look: Look, node: Node) -> Cell:
        if node.offline:
            return OFFLINE
        if needs_guests and not node.vm_capable:
            return UNAVAILABLE
        facts = look.facts.get(node.uuid)
        return read(look, facts) if isinstance(facts, NodeFacts) else NO_DATA

    return cells(value)


def _of_hypervisor(read: Callable[[HypervisorFacts], int | None]) -> Callable[[Look], Column[Node]]:
    """A value that the cluster's default hypervisor tells."""

    def value(look: Look, facts: NodeFacts) -> Cell:
        told = facts.hypervisors.get(look.view.cluster.enabled_hypervisors[0])
        if told is None:
            return NO_DATA
        number = read(told)
        return UNAVAILABLE if number is None else (api.NORMAL, number)

    return _live(value)


def _of_storage(read: Callable[[Space], int]) -> Callable[[Look], Column[Node]]:
    """A value of the first enabled disk template that has a place of its own on nodes."""

    def value(look: Look, facts: NodeFacts) -> Cell:
        for template in look.view.cluster.enabled_disk_templates:
            if template in facts.storages:
                return api.NORMAL, read(facts.storages[template])
            if template in facts.problems:
                return NO_DATA
        return UNAVAILABLE

    return _live(value)


def _no_value(_row: Node) -> None:
    """Spindles are counted only where storage is exclusive, hypervisor and disk state only where declared."""


def _f(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    column: Callable[[Look], Column[Node]],
    *needs: Need,
    is_host: bool = False,
) -> Field[Look, Node]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=column, needs=frozenset(needs), is_host=is_host)


_FIELDS: Final = by_name(
    [
        _f("name", "Node", "text", "Name", plain(lambda n: n.name), is_host=True),
        _f("pip", "PrimaryIP", "text", "Address it is managed by", plain(lambda n: n.primary_ip)),
        _f("sip", "SecondaryIP", "text", "Address for replication", plain(lambda n: n.secondary_ip)),
        _f("role", "Role", "text", "M master, C candidate, R regular, D drained, O offline", looked_up(lambda k, n: role(k.view, n))),
        _f("master", "IsMaster", "bool", "Whether it is the master", looked_up(lambda k, n: n.uuid == k.view.cluster.master_node)),
        _f("master_candidate", "MasterC", "bool", "Whether it may become master", plain(lambda n: n.master_candidate)),
        _f("master_capable", "MasterCapable", "bool", "Whether it can be a candidate", plain(lambda n: n.master_capable)),
        _f("vm_capable", "VMCapable", "bool", "Whether it runs instances", plain(lambda n: n.vm_capable)),
        _f("drained", "Drained", "bool", "Whether it takes no more instances", plain(lambda n: n.drained)),
        _f("offline", "Offline", "bool", "Whether it is out of use", plain(lambda n: n.offline)),
        _f("powered", "Powered", "bool", "Whether it has power, if that can be told", looked_up(_powered)),
        _f("group", "Group", "text", "Node group", looked_up(lambda k, n: k.view.picture.groups[n.group].name)),
        _f("group.uuid", "GroupUUID", "text", "UUID of the node group", plain(lambda n: n.group)),
        _f("pinst_cnt", "Pinst", "number", "Number of primary instances", looked_up(lambda k, n: len(k.view.picture.primaries.get(n.uuid, ())))),
        _f("pinst_list", "PriInstances", "other", "Primary instances", looked_up(_primaries), is_host=True),
        _f("sinst_cnt", "Sinst", "number", "Number of secondary instances", looked_up(lambda k, n: len(k.view.picture.secondaries.get(n.uuid, ())))),
        _f("sinst_list", "SecInstances", "other", "Secondary instances", looked_up(_secondaries), is_host=True),
        _f("ndparams", "NodeParameters", "other", "Node parameters in force", looked_up(lambda k, n: k.ndparams(n))),
        _f("custom_ndparams", "CustomNodeParameters", "other", "Its own node parameters", plain(lambda n: n.ndparams)),
        _f("hv_state", "HypervisorState", "other", "Declared hypervisor state", plain(_no_value)),
        _f("disk_state", "DiskState", "other", "Declared disk state", plain(_no_value)),
        _f("bootid", "BootID", "text", "Changes with every boot", _live(lambda _look, facts: (api.NORMAL, facts.boot_id), needs_guests=False), "facts"),
        _f("ctotal", "CTotal", "number", "Logical CPUs", _of_hypervisor(lambda h: h.cpu_total), "facts"),
        _f("cnodes", "CNodes", "number", "NUMA nodes", _of_hypervisor(lambda h: h.cpu_nodes), "facts"),
        _f("csockets", "CSockets", "number", "CPU sockets", _of_hypervisor(lambda h: h.cpu_sockets), "facts"),
        _f("cnos", "CNOs", "number", "CPUs of the host's own domain (Xen)", _of_hypervisor(lambda h: h.details.get("cpu_dom0")), "facts"),
        _f("mtotal", "MTotal", "unit", "Memory", _of_hypervisor(lambda h: h.memory_total_mib), "facts"),
        _f("mfree", "MFree", "unit", "Memory for more instances", _of_hypervisor(lambda h: h.memory_free_mib), "facts"),
        _f("mnode", "MNode", "unit", "Memory the node itself uses", _of_hypervisor(lambda h: h.memory_node_mib), "facts"),
        _f("dtotal", "DTotal", "unit", "Room for disks", _of_storage(lambda s: s.total_mib), "facts"),
        _f("dfree", "DFree", "unit", "Room for more disks", _of_storage(lambda s: s.free_mib), "facts"),
        _f("sptotal", "SpTotal", "number", "Spindles (exclusive storage)", plain(_no_value)),
        _f("spfree", "SpFree", "number", "Free spindles (exclusive storage)", plain(_no_value)),
        *node_parameter_fields(lambda look: look.ndparams),
        *stored_fields(),
    ]
)  # fmt: skip

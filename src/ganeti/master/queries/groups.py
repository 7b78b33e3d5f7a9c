"""Node groups as lists show them. Spec: cli, "group — 25 fields"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ganeti.contract.view import View
from ganeti.master.queries.fields import (
    Column,
    Field,
    Kind,
    Need,
    by_name,
    chosen,
    each_once,
    looked_up,
    natural,
    plain,
    stored_fields,
)
from ganeti.master.queries.parameters import node_parameter_fields
from ganeti.master.queries.sources import Sources
from ganeti.model import effective, policy
from ganeti.model.objects import Group, Params, Uuid


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the columns of groups must know."""

    view: View
    nodes: dict[Uuid, list[Uuid]] = field(default_factory=dict)
    """Group to the nodes in it."""

    def ndparams(self, group: Group) -> Params:
        """Node parameters that its nodes inherit."""
        return effective.group_node_params(self.view.cluster, group)


class Groups:
    """The resource `group`."""

    default_fields = ("name", "node_cnt", "pinst_cnt", "alloc_policy", "ndparams")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[Look, Group]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[Group]:
        """See `Resource.rows`."""
        return sorted(view.picture.groups.values(), key=_name_key)

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[Group]:
        """See `Resource.named`."""
        return sorted(each_once(chosen(names, view.picture.group, "Node group")), key=_name_key)

    async def look(self, sources: Sources, view: View, rows: Sequence[Group], needs: frozenset[Need]) -> Look:
        """See `Resource.look`."""
        members: dict[Uuid, list[Uuid]] = {}
        for node in view.picture.nodes.values():
            members.setdefault(node.group, []).append(node.uuid)
        return Look(view=view, nodes=members)


def _name_key(group: Group) -> list[str | int]:
    return natural(group.name)


def _node_names(look: Look, group: Group) -> list[str]:
    return sorted((look.view.picture.nodes[uuid].name for uuid in look.nodes.get(group.uuid, ())), key=natural)


def _instance_count(look: Look, group: Group) -> int:
    return sum(len(look.view.picture.primaries.get(node, ())) for node in look.nodes.get(group.uuid, ()))


def _instance_names(look: Look, group: Group) -> list[str]:
    nodes = look.nodes.get(group.uuid, ())
    return sorted((inst.name for node in nodes for inst in look.view.picture.instances_on(node)), key=natural)


def _disk_params(look: Look, group: Group) -> dict[str, Params]:
    cluster, catalog = look.view.cluster, look.view.catalog
    return {template: effective.disk_params(cluster, catalog, template, group) for template in sorted(catalog.storages)}


def _f(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    column: Callable[[Look], Column[Group]],
    *,
    is_host: bool = False,
) -> Field[Look, Group]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=column, is_host=is_host)


_FIELDS: Final = by_name(
    [
        _f("name", "Group", "text", "Name", plain(lambda g: g.name)),
        _f("alloc_policy", "AllocPolicy", "text", "Whether instances may be placed in it", plain(lambda g: g.alloc_policy)),
        _f("node_cnt", "Nodes", "number", "Number of nodes", looked_up(lambda k, g: len(k.nodes.get(g.uuid, ())))),
        _f("node_list", "NodeList", "other", "Nodes", looked_up(_node_names), is_host=True),
        _f("pinst_cnt", "Instances", "number", "Number of primary instances", looked_up(_instance_count)),
        _f("pinst_list", "InstanceList", "other", "Primary instances", looked_up(_instance_names), is_host=True),
        _f("ipolicy", "InstancePolicy", "other", "Instance policy in force", looked_up(lambda k, g: policy.effective(k.view.cluster.ipolicy, g.ipolicy))),
        _f("custom_ipolicy", "CustomInstancePolicy", "other", "Its own instance policy", plain(lambda g: g.ipolicy)),
        _f("ndparams", "NDParams", "other", "Node parameters in force", looked_up(lambda k, g: k.ndparams(g))),
        _f("custom_ndparams", "CustomNDParams", "other", "Its own node parameters", plain(lambda g: g.ndparams)),
        _f("diskparams", "DiskParameters", "other", "Disk parameters in force", looked_up(_disk_params)),
        _f("custom_diskparams", "CustomDiskParameters", "other", "Its own disk parameters", plain(lambda g: g.diskparams)),
        *node_parameter_fields(lambda look: look.ndparams),
        *stored_fields(),
    ]
)  # fmt: skip

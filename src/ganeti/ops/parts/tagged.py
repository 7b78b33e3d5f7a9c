"""Objects that carry tags: finding one by kind and name, and where it is in a search. Pure; spec: opcodes, OP_TAGS_*."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.operation import Locks, OpParams
from ganeti.contract.view import View
from ganeti.model.objects import Cluster, Group, Instance, Node, Stored

Kind = Literal["cluster", "nodegroup", "node", "instance", "network"]
Taggable = Cluster | Group | Node | Instance


class TagsParams(OpParams, frozen=True, kw_only=True):
    """Which object. `name` is left out for the cluster."""

    summary_field: ClassVar[str | None] = "name"

    kind: Kind
    name: str | None = None


def find(view: View, params: TagsParams) -> Taggable:
    """The object, or `Refused` (unknown_entity)."""
    if params.kind == "cluster":
        return view.cluster
    if not params.name:
        raise Refused(WRONG_INPUT, f"which {params.kind}? Its name is missing")
    match params.kind:
        case "nodegroup":
            return view.picture.group(params.name)
        case "node":
            return view.picture.node(params.name)
        case "instance":
            return view.picture.instance(params.name)
        case "network":
            raise Refused(WRONG_INPUT, "there are no networks yet that could carry tags")


def locks_for_change(obj: Taggable) -> Locks:
    """Changes of one object's tags take turns.

    The object itself is only shared, so tagging a node does not wait for the instances that are being made on it;
    whatever else writes the object holds it exclusively.
    """
    name = lock_name(obj)
    return Locks(exclusive=frozenset({f"tags/{name}"}), shared=frozenset({name}))


def lock_name(obj: Taggable) -> str:
    """The lock that guards an object."""
    match obj:
        case Cluster():
            return "cluster"
        case Group():
            return f"nodegroup/{obj.uuid}"
        case Node():
            return f"node/{obj.uuid}"
        case Instance():
            return f"instance/{obj.name}"


def everything(view: View) -> Iterator[tuple[str, Stored]]:
    """(path, object) of all that can carry tags."""
    picture = view.picture
    yield "/cluster", picture.cluster
    yield from ((f"/instances/{each.name}", each) for each in sorted(picture.instances.values(), key=lambda i: i.name))
    yield from ((f"/nodes/{each.name}", each) for each in sorted(picture.nodes.values(), key=lambda n: n.name))
    yield from ((f"/nodegroup/{each.name}", each) for each in sorted(picture.groups.values(), key=lambda g: g.name))

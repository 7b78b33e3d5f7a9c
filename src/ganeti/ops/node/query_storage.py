"""OP_NODE_QUERY_STORAGE: the places where nodes keep disks, and how much room is there."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from ganeti.base.errors import WRONG_INPUT, Failed, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import NodeFacts, NodeFactsGet, StorageAt
from ganeti.contract.operation import (
    Asker,
    Context,
    Locks,
    Operation,
    OpParams,
    Outcome,
    Recovery,
    SimplePlan,
    operation,
)
from ganeti.contract.storage import Space
from ganeti.contract.view import View
from ganeti.model.objects import Node, Uuid

FIELDS: Final = ("node", "type", "name", "size", "used", "free", "allocatable")
"""Sizes are in MiB."""


class NodeQueryStorageParams(OpParams, frozen=True, kw_only=True, tag="OP_NODE_QUERY_STORAGE"):
    """Spec: opcodes, OP_NODE_QUERY_STORAGE. Without a type that of the first enabled template that has one."""

    summary_field: ClassVar[str | None] = None

    output_fields: tuple[str, ...]
    storage_type: str | None = None
    nodes: tuple[str, ...] = ()
    name: str | None = None


Said = dict[Uuid, NodeFacts | Unavailable | Failed]


@operation
class NodeQueryStorage(Operation[NodeQueryStorageParams, Said, SimplePlan]):
    """Result: rows of the fields asked for, by node. A node that cannot say has no row, and is told."""

    params = NodeQueryStorageParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: NodeQueryStorageParams, view: View) -> Locks:
        """The nodes, shared."""
        return Locks(shared=frozenset(f"node/{node.uuid}" for node in _nodes(params, view)))

    async def survey(self, ask: Asker, params: NodeQueryStorageParams) -> Said:
        """How much room is there?"""
        view = ask.view
        _check_fields(params)
        call = NodeFactsGet(storages=(_place(params, view),))
        return await ask.call_each({node.uuid: call for node in _nodes(params, view) if not node.offline})

    def plan(self, params: NodeQueryStorageParams, facts: Said, view: View, ids: Ids) -> SimplePlan:
        """Rows, and sentences on what is missing."""
        place = _place(params, view)
        rows: list[list[Any]] = []
        missing: list[str] = []
        for uuid, answer in facts.items():
            node = view.picture.nodes[uuid]
            space = answer.storages.get(place.template) if isinstance(answer, NodeFacts) else None
            if space is None:
                why = (
                    answer.problems.get(place.template, "no such place")
                    if isinstance(answer, NodeFacts)
                    else answer.message
                )
                missing.append(f"node {node.name} does not tell its storage: {why}")
            elif params.name in (None, space.name):
                row = _row(node, space)
                rows.append([row[field] for field in params.output_fields])
        return SimplePlan(result=rows, dry_result=rows, because=tuple(missing))

    async def run(self, ctx: Context, params: NodeQueryStorageParams, plan: SimplePlan) -> Outcome:
        """Nothing is changed."""
        for sentence in plan.because:
            ctx.warn(sentence)
        return Outcome(result=plan.result)


def _row(node: Node, space: Space) -> dict[str, Any]:
    return {
        "node": node.name,
        "type": space.storage_type,
        "name": space.name,
        "size": space.total_mib,
        "used": space.total_mib - space.free_mib,
        "free": space.free_mib,
        "allocatable": True,
    }


def _check_fields(params: NodeQueryStorageParams) -> None:
    for field in params.output_fields:
        if field not in FIELDS:
            raise Refused(WRONG_INPUT, f"there is no storage field '{field}'; there is {', '.join(FIELDS)}")


def _place(params: NodeQueryStorageParams, view: View) -> StorageAt:
    """Where the nodes keep data of that type."""
    known: dict[str, StorageAt] = {}
    for template in view.cluster.enabled_disk_templates:
        location = view.addressing[template].location(view.cluster)
        if location:
            known.setdefault(
                view.catalog.storage(template).storage_type, StorageAt(template=template, location=location)
            )
    if not known:
        raise Refused(WRONG_INPUT, "no disk template of this cluster keeps data in a place of its own")
    wanted = params.storage_type or next(iter(known))
    if wanted not in known:
        raise Refused(
            WRONG_INPUT,
            f"this cluster has no storage of type '{wanted}'; it has {', '.join(known)}",
            storage_type=wanted,
        )
    return known[wanted]


def _nodes(params: NodeQueryStorageParams, view: View) -> list[Node]:
    nodes = map(view.picture.node, params.nodes) if params.nodes else view.picture.nodes.values()
    return sorted({node.uuid: node for node in nodes if node.vm_capable}.values(), key=lambda node: node.name)

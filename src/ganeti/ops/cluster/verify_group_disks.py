"""OP_GROUP_VERIFY_DISKS: which disks of a group's instances should be accessible and are not, and which data is gone."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskLinks, DiskLinksGet, DiskSizes, DiskSizesGet
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
from ganeti.contract.view import View
from ganeti.model.objects import Disk, Instance, Node, Uuid


class GroupVerifyDisksParams(OpParams, frozen=True, kw_only=True, tag="OP_GROUP_VERIFY_DISKS"):
    """Spec: opcodes, OP_GROUP_VERIFY_DISKS. Not strict: it does not wait for those who are at work on instances."""

    summary_field: ClassVar[str | None] = "group_name"

    group_name: str
    is_strict: bool = True


class DisksSeen(msgspec.Struct, frozen=True, kw_only=True):
    """By node, what it says: real sizes of the disks it was asked about, and which disks are accessible there."""

    asked: dict[Uuid, tuple[tuple[Instance, int, Disk], ...]]
    sizes: dict[Uuid, DiskSizes | Unavailable | Failed]
    links: dict[Uuid, DiskLinks | Unavailable | Failed]


@operation
class GroupVerifyDisks(Operation[GroupVerifyDisksParams, DisksSeen, SimplePlan]):
    """Result: ({node: error}, [instances whose disks need activating], {instance: [[node, address of missing data]]})."""

    params = GroupVerifyDisksParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: GroupVerifyDisksParams, view: View) -> Locks:
        """The group and its nodes, shared; the instances too when it shall be exact."""
        shared = {f"nodegroup/{view.picture.group(params.group_name).uuid}"}
        for node in _nodes(params, view):
            shared.add(f"node/{node.uuid}")
            if params.is_strict:
                shared |= {f"instance/{instance.name}" for instance in view.picture.instances_on(node.uuid)}
        return Locks(shared=frozenset(shared))

    async def survey(self, ask: Asker, params: GroupVerifyDisksParams) -> DisksSeen:
        """Only disks that should be accessible are asked about."""
        view = ask.view
        asked: dict[Uuid, tuple[tuple[Instance, int, Disk], ...]] = {}
        for node in _nodes(params, view):
            wanted = tuple(
                (instance, index, disk)
                for instance in sorted(view.picture.instances_on(node.uuid), key=lambda each: each.name)
                if instance.disks_active
                for index, disk in enumerate(instance.disks)
            )
            if wanted and not node.offline:
                asked[node.uuid] = wanted
        calls = {uuid: DiskSizesGet(disks=tuple(disk for *_, disk in wanted)) for uuid, wanted in asked.items()}
        return DisksSeen(
            asked=asked,
            sizes=await ask.call_each(calls),
            links=await ask.call_each(dict.fromkeys(asked, DiskLinksGet())),
        )

    def plan(self, params: GroupVerifyDisksParams, facts: DisksSeen, view: View, ids: Ids) -> SimplePlan:
        """Data that is not there cannot be activated, so an instance is in one of the two lists only."""
        errors: dict[str, str] = {}
        inactive: dict[str, None] = {}
        missing: dict[str, list[list[str]]] = {}
        for uuid, asked in facts.asked.items():
            node, sizes, links = view.picture.nodes[uuid].name, facts.sizes[uuid], facts.links[uuid]
            if not isinstance(sizes, DiskSizes) or not isinstance(links, DiskLinks):
                errors[node] = sizes.message if not isinstance(sizes, DiskSizes) else _message(links)
                continue
            accessible = set(links.names)
            for (instance, index, disk), size_mib in zip(asked, sizes.sizes_mib, strict=True):
                if size_mib is None:
                    missing.setdefault(instance.name, []).append([node, str(disk.logical_id[-1])])
                elif f"{instance.name}:{index}" not in accessible:
                    inactive[instance.name] = None
        result: list[Any] = [errors, [name for name in inactive if name not in missing], missing]
        return SimplePlan(result=result, dry_result=result)

    async def run(self, ctx: Context, params: GroupVerifyDisksParams, plan: SimplePlan) -> Outcome:
        """Nothing is changed: whoever asked decides."""
        return Outcome(result=plan.result)


def _message(answer: object) -> str:
    return answer.message if isinstance(answer, Unavailable | Failed) else ""


def _nodes(params: GroupVerifyDisksParams, view: View) -> list[Node]:
    group = view.picture.group(params.group_name)
    return sorted((node for node in view.picture.nodes.values() if node.group == group.uuid), key=lambda n: n.name)

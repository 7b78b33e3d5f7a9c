"""OP_CLUSTER_REPAIR_DISK_SIZES: what is written down about the sizes of disks becomes what they really are."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskSizes, DiskSizesGet
from ganeti.contract.operation import (
    Asker,
    Change,
    Context,
    Locks,
    Operation,
    OpParams,
    Outcome,
    Plan,
    Recovery,
    operation,
)
from ganeti.contract.view import View
from ganeti.model.objects import Disk, Instance, Uuid, changed


class ClusterRepairDiskSizesParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_REPAIR_DISK_SIZES"):
    """Spec: opcodes, OP_CLUSTER_REPAIR_DISK_SIZES. No instances: all."""

    instances: tuple[str, ...] = ()


Said = dict[Uuid, DiskSizes | Unavailable | Failed]
"""By node, the sizes of the disks of those instances that have it as primary, in the order of `_by_node`."""


class RepairDiskSizesPlan(Plan, frozen=True, kw_only=True):
    """What is written, and what could not be judged."""

    change: Change
    rows: tuple[tuple[str, int, str, int], ...]
    remarks: tuple[str, ...]


@operation
class ClusterRepairDiskSizes(Operation[ClusterRepairDiskSizesParams, Said, RepairDiskSizesPlan]):
    """Result: rows of [instance, number of the disk, "size", size in MiB] for all that was wrong."""

    params = ClusterRepairDiskSizesParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterRepairDiskSizesParams, view: View) -> Locks:
        """The instances for itself, so that no disk grows meanwhile."""
        wanted = _wanted(params, view)
        return Locks(
            exclusive=frozenset(f"instance/{instance.name}" for instance in wanted),
            shared=frozenset(f"node/{instance.primary_node}" for instance in wanted),
        )

    async def survey(self, ask: Asker, params: ClusterRepairDiskSizesParams) -> Said:
        """Each node is asked once, unless it is marked offline."""
        by_node = _by_node(_wanted(params, ask.view))
        online = {uuid: disks for uuid, disks in by_node.items() if not ask.view.picture.nodes[uuid].offline}
        return await ask.call_each(
            {uuid: DiskSizesGet(disks=tuple(disk for *_, disk in disks)) for uuid, disks in online.items()}
        )

    def plan(self, params: ClusterRepairDiskSizesParams, facts: Said, view: View, ids: Ids) -> RepairDiskSizesPlan:
        """Data that is not there has no size, and is told instead."""
        rows: list[tuple[str, int, str, int]] = []
        remarks: list[str] = []
        sizes: dict[Uuid, int] = {}
        for uuid, asked in _by_node(_wanted(params, view)).items():
            answer = facts.get(uuid)
            if not isinstance(answer, DiskSizes):
                why = "it is marked offline" if answer is None else answer.message
                remarks.append(f"the disks on node {view.picture.nodes[uuid].name} were not measured: {why}")
                continue
            for (instance, index, disk), size_mib in zip(asked, answer.sizes_mib, strict=True):
                if size_mib is None:
                    remarks.append(f"disk {index} of instance {instance.name} has no data ({disk.logical_id[-1]})")
                elif size_mib != disk.size:
                    rows.append((instance.name, index, "size", size_mib))
                    sizes[disk.uuid] = size_mib
        put = tuple(
            changed(instance, view.now_s, disks=tuple(_sized(disk, sizes) for disk in instance.disks))
            for instance in _wanted(params, view)
            if any(disk.uuid in sizes for disk in instance.disks)
        )
        result: list[list[Any]] = [list(row) for row in rows]
        return RepairDiskSizesPlan(
            change=Change(put=put),
            rows=tuple(rows),
            remarks=tuple(remarks),
            dry_result=result,
            steps=tuple(f"note {size} MiB for disk {index} of {name}" for name, index, _, size in rows),
        )

    async def run(self, ctx: Context, params: ClusterRepairDiskSizesParams, plan: RepairDiskSizesPlan) -> Outcome:
        """Only the configuration changes."""
        for remark in plan.remarks:
            ctx.warn(remark)
        return Outcome(result=[list(row) for row in plan.rows], change=plan.change)


def _wanted(params: ClusterRepairDiskSizesParams, view: View) -> list[Instance]:
    if params.instances:
        found = {instance.uuid: instance for instance in map(view.picture.instance, params.instances)}
        return sorted(found.values(), key=lambda each: each.name)
    return sorted(view.picture.instances.values(), key=lambda each: each.name)


def _by_node(wanted: list[Instance]) -> dict[Uuid, list[tuple[Instance, int, Disk]]]:
    by_node: dict[Uuid, list[tuple[Instance, int, Disk]]] = {}
    for instance in wanted:
        for index, disk in enumerate(instance.disks):
            by_node.setdefault(instance.primary_node, []).append((instance, index, disk))
    return by_node


def _sized(disk: Disk, sizes: dict[Uuid, int]) -> Disk:
    return msgspec.structs.replace(disk, size=sizes[disk.uuid]) if disk.uuid in sizes else disk

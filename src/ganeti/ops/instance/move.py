"""OP_INSTANCE_MOVE: an instance whose disks are on one node only is stopped, copied to another node and started there."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.base.tasks import Scope
from ganeti.base.units import format_mib
from ganeti.contract.calls import Call
from ganeti.contract.calls.copying import CopyEnd, CopyLook, CopyReceive, CopySend
from ganeti.contract.calls.disk import DiskCreate, DiskRemove, DiskSizes, DiskSizesGet
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.storage import Owner
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Disk, Instance, Node, Uuid, changed
from ganeti.ops.parts import failing_over, fitness, guests, instances, moves, targets

LOOK_S = 1.0


class InstanceMoveParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_MOVE"):
    """Spec: opcodes, OP_INSTANCE_MOVE. `shutdown_timeout` 0 ends the guest at once."""

    target_node: str
    target_node_uuid: str | None = None
    shutdown_timeout: int = 120
    ignore_ipolicy: bool = False
    compress: str = "none"
    ignore_consistency: bool = False


class MoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The guest on its node, what the target says, and what data there is already in the place of each disk."""

    guest: GuestState | None
    said: dict[Uuid, fitness.Fitness]
    in_the_way_mib: tuple[int | None, ...]


class InstanceMovePlan(Plan, frozen=True, kw_only=True):
    """`start`: it shall run on the target afterwards."""

    instance: Instance
    target: Uuid
    start: bool
    remarks: tuple[str, ...] = ()


@operation
class InstanceMove(Operation[InstanceMoveParams, MoveFacts, InstanceMovePlan]):
    """Move an instance with its disks."""

    params = InstanceMoveParams

    def locks(self, params: InstanceMoveParams, view: View) -> Locks:
        """The instance for itself; both nodes stay as they are."""
        instance = instances.named(view, params)
        _check(params, view, instance)
        locks = instances.locks_of(instance)
        return msgspec.structs.replace(locks, shared=locks.shared | targets.locks_for(view, instance, _wanted(params)))

    async def survey(self, ask: Asker, params: InstanceMoveParams) -> MoveFacts:
        """Does it run, and could it run there?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance, way_out="; its disks cannot be read there")
        nodes = targets.possible(ask.view, instance, _wanted(params))
        guest = await instances.guest_state(ask, instance)
        said = await targets.ask(ask, nodes, guests.guest_of(ask.view, instance), disks_exist=False)
        sizes: DiskSizes = await ask.call(nodes[0].uuid, DiskSizesGet(disks=instance.disks))
        return MoveFacts(guest=guest, said=said, in_the_way_mib=sizes.sizes_mib)

    def plan(self, params: InstanceMoveParams, facts: MoveFacts, view: View, ids: Ids) -> InstanceMovePlan:
        """Refuses what could not be started there, and data in the way."""
        instance = instances.named(view, params)
        (target,) = targets.possible(view, instance, _wanted(params))
        source = instances.primary_of(view, instance)
        for disk, size_mib in zip(instance.disks, facts.in_the_way_mib, strict=True):
            if size_mib is not None:
                raise Refused(
                    WRONG_STATE,
                    f"there is data at {disk.logical_id[-1]} on node {target.name} already; look whose it is, and remove it",
                    node=target.name,
                )
        start = instance.admin_state == "up"
        memory_mib = effective.backend_params(view.cluster, instance.beparams)["maxmem"] if start else 0
        storage_mib = sum(disk.size for disk in instance.disks)
        choice = targets.choose(view, instance, [target], facts.said, memory_mib=memory_mib, storage_mib=storage_mib)
        if choice.node is None:
            raise targets.no_node(instance, choice.because)
        broken = targets.check_policy(view, instance, target, ignore=params.ignore_ipolicy)
        storage_type = view.catalog.storage(instance.disk_template).storage_type
        steps = [f"stop instance {instance.name} on {source.name}"] if instances.is_alive(facts.guest) else []
        steps += [
            f"copy disk {index} ({format_mib(disk.size)}) from {source.name} to {target.name}"
            for index, disk in enumerate(instance.disks)
        ]
        steps.append(f"make {target.name} its primary node")
        if start:
            steps.append(f"start it on {target.name}")
        return InstanceMovePlan(
            instance=instance,
            target=target.uuid,
            start=start,
            remarks=tuple(f"the instance policy is broken: {words}" for words in broken),
            reserve=Reservation(
                memory_mib={target.uuid: memory_mib}, storage_mib={target.uuid: {storage_type: storage_mib}}
            ),
            because=choice.because,
            steps=(*steps, f"remove its disks from {source.name}"),
            dry_result=[target.name],
        )

    def hooks(self, params: InstanceMoveParams, plan: InstanceMovePlan, view: View) -> Hooks:
        """On the master, where it was and where it goes."""
        own = {
            "TARGET_NODE": view.picture.nodes[plan.target].name,
            "SHUTDOWN_TIMEOUT": params.shutdown_timeout,
        }
        return moves.hooks_of(view, plan.instance, plan.target, path="instance-move", own=own)

    async def run(self, ctx: Context, params: InstanceMoveParams, plan: InstanceMovePlan) -> Outcome:
        """Stop, copy, change the owner, start; the source's disks are removed when it runs."""
        instance = plan.instance
        source, target = (ctx.view.picture.nodes[uuid] for uuid in (instance.primary_node, plan.target))
        for remark in plan.remarks:
            ctx.warn(remark)
        ctx.say(f"Shutting down instance {instance.name} on source node {source.name}")
        stop = InstanceStop(
            guest=guests.guest_of(ctx.view, instance),
            within_s=params.shutdown_timeout,
            force=params.shutdown_timeout <= 0,
        )
        await ctx.call(source.uuid, stop)
        try:
            await self._copy(ctx, plan, source, target)
        except (Failed, Refused, Unavailable) as error:
            await self._start_again(ctx, plan, source, error)
            raise
        moved = changed(instance, ctx.clock.now_s(), primary_node=target.uuid)
        at_source, at_target = (
            tuple((node.uuid, DiskRemove(disk=disk)) for disk in instance.disks) for node in (source, target)
        )
        await ctx.commit(Change(put=(moved,)), then=at_source)
        if plan.start:
            ctx.say(f"Starting instance {instance.name} on node {target.name}")
            await failing_over.start(ctx, moved, source, target, can_go_back=True, going_back=at_target)
        ctx.say(f"Removing the disks on the original node {source.name}")
        return Outcome(owed=await self._remove(ctx, at_source))

    async def _copy(self, ctx: Context, plan: InstanceMovePlan, source: Node, target: Node) -> None:
        instance = plan.instance
        await ctx.undo.later(*((target.uuid, DiskRemove(disk=disk)) for disk in instance.disks))
        for index, disk in enumerate(instance.disks):
            owner = Owner(instance_name=instance.name, instance_uuid=instance.uuid, index=index)
            await ctx.call(target.uuid, DiskCreate(disk=disk, owner=owner))
            await ctx.undo.later((target.uuid, CopyEnd(disk=disk)))
            landing = await ctx.call(
                target.uuid, CopyReceive(disk=disk, owner=owner, address=target.secondary_ip, peer=source.name)
            )
            ctx.say(f"Copying data for disk {index} ({format_mib(disk.size)})")
            broken: GanetiError | None = None
            async with Scope() as scope:
                _ = scope.start(_tell(ctx, source.uuid, index, disk), name="tell how far a copy is")
                try:
                    await ctx.call(source.uuid, CopySend(disk=disk, owner=owner, landing=landing))
                except (Failed, Refused, Unavailable) as error:
                    broken = error  # raised outside, where it is not wrapped in a group
            if broken is not None:
                raise broken
            await ctx.call(target.uuid, CopyEnd(disk=disk))

    async def _start_again(self, ctx: Context, plan: InstanceMovePlan, source: Node, cause: GanetiError) -> None:
        """It was not moved, so it goes on where it was."""
        if not plan.start:
            return
        ctx.warn(f"instance {plan.instance.name} was not moved: {cause.message}; starting it on {source.name} again")
        try:
            await ctx.call(source.uuid, InstanceStart(guest=guests.guest_of(ctx.view, plan.instance)))
        except (Failed, Refused, Unavailable) as error:
            ctx.warn(f"instance {plan.instance.name} could not be started on node {source.name} again: {error.message}")

    async def _remove(
        self, ctx: Context, removals: tuple[tuple[Uuid, DiskRemove], ...]
    ) -> tuple[tuple[Uuid, Call[Any]], ...]:
        left: list[tuple[Uuid, Call[Any]]] = []
        for node, call in removals:
            try:
                await ctx.call(node, call)
            except (Failed, Refused, Unavailable) as error:
                ctx.warn(f"a disk could not be removed yet: {error.message}; that is done when the node answers again")
                left.append((node, call))
        return tuple(left)


async def _tell(ctx: Context, source: Uuid, index: int, disk: Disk) -> None:
    """A line now and then; who cannot be asked is not worth a failure."""
    said = -1.0
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            percent = await ctx.call(source, CopyLook(disk=disk))
        except (Failed, Refused, Unavailable):
            continue
        if percent is not None and percent != said:
            said = percent
            ctx.say(f" - disk {index}: {percent:.0f} % of {format_mib(disk.size)} done")


def _check(params: InstanceMoveParams, view: View, instance: Instance) -> None:
    if params.compress != "none":
        raise Refused(
            WRONG_INPUT, f"compression '{params.compress}' is not served for copies between nodes; leave --compress out"
        )
    traits = view.catalog.storage(instance.disk_template)
    if traits.mirrored != "none" or not traits.copyable:
        raise Refused(
            WRONG_STATE,
            f"the disks of instance {instance.name} (template {instance.disk_template}) are not copied: other nodes see them "
            "too; use 'gnt-instance failover' or 'gnt-instance migrate'",
            disk_template=instance.disk_template,
        )


def _wanted(params: InstanceMoveParams) -> str:
    return params.target_node_uuid or params.target_node

"""OP_INSTANCE_GROW_DISK: one disk of an instance becomes larger. It never shrinks."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.base.units import format_mib
from ganeti.contract.calls.disk import DiskGrow
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.view import View
from ganeti.model.objects import Disk, Instance, changed
from ganeti.ops.parts import hooks, instances, policies


class InstanceGrowDiskParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_GROW_DISK"):
    """Spec: opcodes, OP_INSTANCE_GROW_DISK. `amount` in MiB: to add, or with `absolute` the final size."""

    disk: int
    amount: int
    absolute: bool = False
    wait_for_sync: bool = True
    ignore_ipolicy: bool = False


class GrowDiskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Room on the node, and whether somebody has the disk open."""

    node: NodeFacts
    guest: GuestState | None


class InstanceGrowDiskPlan(Plan, frozen=True, kw_only=True):
    """The disk as it is, and the instance as it will be."""

    disk: Disk
    size_mib: int
    after: Instance


@operation
class InstanceGrowDisk(Operation[InstanceGrowDiskParams, GrowDiskFacts, InstanceGrowDiskPlan]):
    """Make a disk larger."""

    params = InstanceGrowDiskParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceGrowDiskParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceGrowDiskParams) -> GrowDiskFacts:
        """Is there room?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        return GrowDiskFacts(
            node=await instances.node_facts(ask, instance), guest=await instances.guest_state(ask, instance)
        )

    def plan(self, params: InstanceGrowDiskParams, facts: GrowDiskFacts, view: View, ids: Ids) -> InstanceGrowDiskPlan:
        """Refuses what would shrink it, break the policy or not fit."""
        instance = instances.named(view, params)
        traits = view.catalog.storage(instance.disk_template)
        if not traits.growable:
            raise Refused(WRONG_INPUT, f"disks of template {instance.disk_template} cannot grow")
        if not 0 <= params.disk < len(instance.disks):
            raise Refused(
                WRONG_INPUT,
                f"instance {instance.name} has no disk {params.disk}; it has {len(instance.disks)}, counted from 0",
                disk=params.disk,
            )
        if traits.file_based and instances.is_alive(facts.guest):
            # QEMU keeps the length it found when it opened the file.
            raise Refused(
                WRONG_STATE,
                f"instance {instance.name} is running, and a disk kept in a file grows only while nobody has it open; "
                "stop the instance first",
                instance=instance.name,
            )
        disk = instance.disks[params.disk]
        size_mib = params.amount if params.absolute else disk.size + params.amount
        _check_growth(params, disk, size_mib)
        disks = list(instance.disks)
        disks[params.disk] = msgspec.structs.replace(disk, size=size_mib)
        after = changed(instance, view.now_s, disks=tuple(disks))
        policies.check(view, instance, after, ignore=params.ignore_ipolicy)
        more_mib = size_mib - disk.size
        instances.check_room(view, instance, facts.node, more_mib)
        return InstanceGrowDiskPlan(
            disk=disk,
            size_mib=size_mib,
            after=after,
            reserve=Reservation(storage_mib={instance.primary_node: {traits.storage_type: more_mib}}),
            steps=(f"grow disk {params.disk} of {instance.name} from {disk.size} to {size_mib} MiB",),
        )

    def hooks(self, params: InstanceGrowDiskParams, plan: InstanceGrowDiskPlan, view: View) -> Hooks:
        """On the master and its nodes."""
        own = {"DISK": params.disk, "AMOUNT": params.amount, "ABSOLUTE": params.absolute}
        return hooks.of_instance(view, plan.after, path="disk-grow", own=own)

    async def run(self, ctx: Context, params: InstanceGrowDiskParams, plan: InstanceGrowDiskPlan) -> Outcome:
        """Growing to a size it has is fine, so a repeat is harmless."""
        more, full = format_mib(plan.size_mib - plan.disk.size), format_mib(plan.size_mib)
        ctx.say(f"growing disk {params.disk} of instance '{plan.after.name}' by {more} to {full}")
        await ctx.call(plan.after.primary_node, DiskGrow(disk=plan.disk, size_mib=plan.size_mib))
        return Outcome(change=Change(put=(plan.after,)))


def _check_growth(params: InstanceGrowDiskParams, disk: Disk, size_mib: int) -> None:
    if params.amount < 0 or (not params.absolute and params.amount == 0):
        raise Refused(WRONG_INPUT, f"a disk grows by at least 1 MiB, not by {params.amount}", amount=params.amount)
    if size_mib <= disk.size:
        raise Refused(
            WRONG_STATE,
            f"disk {params.disk} has {disk.size} MiB already, and disks cannot shrink; {size_mib} MiB were asked for",
            size_mib=disk.size,
        )

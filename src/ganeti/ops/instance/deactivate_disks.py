"""OP_INSTANCE_DEACTIVATE_DISKS: takes back what activating the disks of an instance did."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskShutdown
from ganeti.contract.guest import GuestState
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Instance
from ganeti.ops.parts import instances


class InstanceDeactivateDisksParams(
    instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_DEACTIVATE_DISKS"
):
    """Spec: opcodes, OP_INSTANCE_DEACTIVATE_DISKS. `force`: even while it runs."""

    force: bool = False


class InstanceDeactivateDisksPlan(Plan, frozen=True, kw_only=True):
    """Whose disks."""

    instance: Instance


@operation
class InstanceDeactivateDisks(Operation[InstanceDeactivateDisksParams, GuestState | None, InstanceDeactivateDisksPlan]):
    """Put the disks of an instance away."""

    params = InstanceDeactivateDisksParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceDeactivateDisksParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceDeactivateDisksParams) -> GuestState | None:
        """Does somebody have them open?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        return None if params.force else await instances.guest_state(ask, instance)

    def plan(
        self, params: InstanceDeactivateDisksParams, facts: GuestState | None, view: View, ids: Ids
    ) -> InstanceDeactivateDisksPlan:
        """Refuses while the guest runs."""
        instance = instances.named(view, params)
        if instances.is_alive(facts):
            raise Refused(
                WRONG_STATE,
                f"instance {instance.name} is running and has its disks open; stop it first",
                instance=instance.name,
            )
        node = instances.primary_of(view, instance).name
        steps = tuple(f"put disk/{index} away on {node}" for index in range(len(instance.disks)))
        return InstanceDeactivateDisksPlan(instance=instance, steps=steps)

    async def run(
        self, ctx: Context, params: InstanceDeactivateDisksParams, plan: InstanceDeactivateDisksPlan
    ) -> Outcome:
        """One after another."""
        instance = plan.instance
        for disk in instance.disks:
            await ctx.call(instance.primary_node, DiskShutdown(disk=disk))
        return Outcome(change=instances.put(instance, ctx.clock.now_s(), disks_active=False))

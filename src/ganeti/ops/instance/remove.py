"""OP_INSTANCE_REMOVE: an instance ends; its guest, its disks and its entry in the configuration, in this order."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import Failed, GanetiError, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskRemove
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Instance
from ganeti.ops.parts import guests, hooks, instances


class InstanceRemoveParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_REMOVE"):
    """Spec: opcodes, OP_INSTANCE_REMOVE."""

    shutdown_timeout: int = 120
    ignore_failures: bool = False


class InstanceRemovePlan(Plan, frozen=True, kw_only=True):
    """Which instance goes, and whether its node is asked at all."""

    instance: Instance
    reachable: bool


@operation
class InstanceRemove(Operation[InstanceRemoveParams, None, InstanceRemovePlan]):
    """Remove an instance with its data. What is gone already is fine, so it may run again from the start."""

    params = InstanceRemoveParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceRemoveParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceRemoveParams) -> None:
        """Whatever the node would say, the end is the same."""

    def plan(self, params: InstanceRemoveParams, facts: None, view: View, ids: Ids) -> InstanceRemovePlan:
        """Refuses while the node is offline, because the data would stay there."""
        instance = instances.named(view, params)
        node = instances.primary_of(view, instance)
        if not params.ignore_failures:
            instances.check_reachable(
                view, instance, way_out="; --ignore-failures drops it from the configuration and leaves its data there"
            )
        steps = [f"stop instance {instance.name} on {node.name}"]
        steps += [f"remove disk {index} ({disk.dev_type}) on {node.name}" for index, disk in enumerate(instance.disks)]
        return InstanceRemovePlan(
            instance=instance,
            reachable=not node.offline,
            steps=(*steps, f"drop instance {instance.name} from the configuration"),
        )

    def hooks(self, params: InstanceRemoveParams, plan: InstanceRemovePlan, view: View) -> Hooks:
        """Before it on the master only."""
        own = {"SHUTDOWN_TIMEOUT": params.shutdown_timeout}
        return hooks.of_instance(view, plan.instance, path="instance-remove", own=own, pre_nodes=())

    async def run(self, ctx: Context, params: InstanceRemoveParams, plan: InstanceRemovePlan) -> Outcome:
        """Stop, write down that it is down (true even if the rest fails), remove the data, drop it."""
        instance = plan.instance
        if plan.reachable:
            await self._stop(ctx, params, instance)
            down = instances.put(instance, ctx.clock.now_s(), admin_state="down", disks_active=False)
            if down.put:
                await ctx.commit(down)
            await self._remove_disks(ctx, params, instance)
        else:
            node = instances.primary_of(ctx.view, instance).name
            ctx.warn(f"node {node} is offline: what it holds of instance {instance.name} stays there")
        ctx.say(f"removing instance {instance.name} out of cluster config")
        return Outcome(change=Change(remove=(ctx.view.picture.instances[instance.uuid],)))

    async def _stop(self, ctx: Context, params: InstanceRemoveParams, instance: Instance) -> None:
        ctx.say(f"shutting down instance {instance.name}")
        guest = guests.guest_of(ctx.view, instance)
        stop = InstanceStop(guest=guest, within_s=params.shutdown_timeout, force=params.shutdown_timeout <= 0)
        try:
            await ctx.call(instance.primary_node, stop)
        except (Failed, Unavailable, Refused) as error:
            self._tolerate(ctx, params, error, f"instance {instance.name} may still run")

    async def _remove_disks(self, ctx: Context, params: InstanceRemoveParams, instance: Instance) -> None:
        if instance.disks:
            ctx.say(f"removing the disks of instance {instance.name}")
        for index, disk in enumerate(instance.disks):
            try:
                await ctx.call(instance.primary_node, DiskRemove(disk=disk))
            except (Failed, Unavailable, Refused) as error:
                self._tolerate(ctx, params, error, f"the data of disk {index} may still be on the node")

    def _tolerate(self, ctx: Context, params: InstanceRemoveParams, error: GanetiError, consequence: str) -> None:
        if not params.ignore_failures:
            raise error
        ctx.warn(f"{error.message}; {consequence} ('gnt-cluster verify' shows what is left over)")

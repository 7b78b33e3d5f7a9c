"""OP_INSTANCE_REBOOT: soft inside its hypervisor, hard by a new guest, full with its disks put away in between."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from ganeti.base.ids import Ids
from ganeti.contract.calls.instance import InstanceReboot as Restart
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.guest import Guest
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Instance
from ganeti.ops.parts import guests, hooks, instances


class InstanceRebootParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_REBOOT"):
    """Spec: opcodes, OP_INSTANCE_REBOOT."""

    reboot_type: Literal["soft", "hard", "full"]
    shutdown_timeout: int = 120
    ignore_secondaries: bool = False


class RebootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it runs; room is asked for only if it does not."""

    running: bool
    objections: tuple[str, ...]
    node: NodeFacts | None = None


class InstanceRebootPlan(Plan, frozen=True, kw_only=True):
    """The guest as it will be."""

    instance: Instance
    guest: Guest
    running: bool
    change: Change


@operation
class InstanceReboot(Operation[InstanceRebootParams, RebootFacts, InstanceRebootPlan]):
    """Restart an instance; one that is down is started."""

    params = InstanceRebootParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceRebootParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceRebootParams) -> RebootFacts:
        """Does it run, and what stands against its start?"""
        instance = instances.named(ask.view, params)
        instances.check_not_offline(instance)
        instances.check_reachable(ask.view, instance)
        running = instances.is_alive(await instances.guest_state(ask, instance))
        objections: tuple[str, ...] = ()
        if not running or params.reboot_type != "soft":
            guest = guests.guest_of(ask.view, instance)
            objections = await instances.objections_to(ask, instance, guest, disks_exist=True)
        node = None if running else await instances.node_facts(ask, instance)
        return RebootFacts(running=running, objections=objections, node=node)

    def plan(self, params: InstanceRebootParams, facts: RebootFacts, view: View, ids: Ids) -> InstanceRebootPlan:
        """What could not be started again is not stopped."""
        instance = instances.named(view, params)
        instances.check_objections(view, instance, facts.objections, "restart")
        guest = guests.guest_of(view, instance)
        if facts.node is not None:
            instances.check_memory(view, instance, facts.node, guest.maxmem_mib)
        node = instances.primary_of(view, instance).name
        if not facts.running:
            steps = [f"start instance {instance.name} on {node}: it is down"]
        elif params.reboot_type == "soft":
            steps = [f"restart the guest of {instance.name} inside {instance.hypervisor} on {node}"]
        else:
            steps = [f"stop instance {instance.name} on {node}", f"start instance {instance.name} on {node}"]
        return InstanceRebootPlan(
            instance=instance,
            guest=guest,
            running=facts.running,
            change=instances.put(instance, view.now_s, admin_state="up", admin_state_source="admin", disks_active=True),
            steps=tuple(steps),
        )

    def hooks(self, params: InstanceRebootParams, plan: InstanceRebootPlan, view: View) -> Hooks:
        """On the master and its nodes."""
        own = {
            "IGNORE_SECONDARIES": params.ignore_secondaries,
            "REBOOT_TYPE": params.reboot_type,
            "SHUTDOWN_TIMEOUT": params.shutdown_timeout,
        }
        return hooks.of_instance(view, plan.instance, path="instance-reboot", own=own)

    async def run(self, ctx: Context, params: InstanceRebootParams, plan: InstanceRebootPlan) -> Outcome:
        """A start that fails leaves the instance down and marked as it was."""
        instance, node, guest = plan.instance, plan.instance.primary_node, plan.guest
        if plan.running and params.reboot_type == "soft":
            await ctx.call(node, Restart(guest=guest))
            return Outcome(change=plan.change)
        if plan.running:
            within_s = float(params.shutdown_timeout)
            keep = params.reboot_type == "hard"
            await ctx.call(node, InstanceStop(guest=guest, within_s=within_s, force=within_s <= 0, keep_disks=keep))
        else:
            ctx.say(f"instance {instance.name} was stopped already, starting it now")
            await ctx.undo.later((node, InstanceStop(guest=guest, force=True)))
        await ctx.call(node, InstanceStart(guest=guest))
        return Outcome(change=plan.change)

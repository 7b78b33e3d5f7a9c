"""OP_INSTANCE_STARTUP: an instance shall run from now on. Starting one that runs is fine."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.ids import Ids
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.reservation import NOTHING, Reservation
from ganeti.contract.view import View
from ganeti.model.objects import Instance, Params
from ganeti.ops.parts import guests, hooks, hypervisors, instances


class InstanceStartupParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_STARTUP"):
    """Spec: opcodes, OP_INSTANCE_STARTUP. `hvparams` and `beparams` count for this start only."""

    force: bool = False
    ignore_offline_nodes: bool = False
    hvparams: Params = {}
    beparams: Params = {}
    no_remember: bool = False
    startup_paused: bool = False
    shutdown_timeout: int = 120


class StartupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the primary node says; nothing is asked of one that is offline."""

    guest: GuestState | None = None
    node: NodeFacts | None = None
    objections: tuple[str, ...] = ()


class InstanceStartupPlan(Plan, frozen=True, kw_only=True):
    """`guest` is None when there is nothing to start: `remarks` say why. `change` is committed at the end."""

    instance: Instance
    guest: Guest | None
    change: Change
    remarks: tuple[str, ...] = ()


@operation
class InstanceStartup(Operation[InstanceStartupParams, StartupFacts, InstanceStartupPlan]):
    """Start an instance and remember that it shall run."""

    params = InstanceStartupParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceStartupParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceStartupParams) -> StartupFacts:
        """Does it run, is there memory, and what stands against it?"""
        instance = instances.named(ask.view, params)
        guest = _guest(params, ask.view, instance)
        if instances.primary_of(ask.view, instance).offline or instance.admin_state == "offline":
            return StartupFacts()
        state = await instances.guest_state(ask, instance)
        if instances.is_alive(state):
            return StartupFacts(guest=state)
        return StartupFacts(
            guest=state,
            node=await instances.node_facts(ask, instance),
            objections=await instances.objections_to(ask, instance, guest, disks_exist=True),
        )

    def plan(self, params: InstanceStartupParams, facts: StartupFacts, view: View, ids: Ids) -> InstanceStartupPlan:
        """Decide whether there is something to start; refuse what cannot be started."""
        instance = instances.named(view, params)
        instances.check_not_offline(instance)
        node = instances.primary_of(view, instance)
        up = {} if params.no_remember else {"admin_state": "up", "admin_state_source": "admin"}
        if node.offline and params.ignore_offline_nodes:
            change = instances.put(instance, view.now_s, **up)
            remark = f"node {node.name} is offline: instance {instance.name} is only marked to be up"
            return InstanceStartupPlan(instance=instance, guest=None, change=change, remarks=(remark,))
        instances.check_reachable(view, instance, way_out=" (--ignore-offline only marks the instance)")
        change = instances.put(instance, view.now_s, disks_active=True, **up)
        if facts.node is None:
            remark = f"instance {instance.name} is running already"
            return InstanceStartupPlan(instance=instance, guest=None, change=change, remarks=(remark,))
        guest = _guest(params, view, instance)
        remarks: tuple[str, ...] = ()
        instances.check_objections(view, instance, facts.objections, "start")
        if not params.force:
            instances.check_memory(view, instance, facts.node, guest.maxmem_mib)
        reserve = Reservation(memory_mib={node.uuid: guest.maxmem_mib}) if guest.maxmem_mib else NOTHING
        return InstanceStartupPlan(
            instance=instance,
            guest=guest,
            change=change,
            remarks=remarks,
            reserve=reserve,
            steps=(f"start instance {instance.name} with {instance.hypervisor} on {node.name}",),
            because=(f"it needs {guest.maxmem_mib} MiB of memory, which node {node.name} has",),
        )

    def hooks(self, params: InstanceStartupParams, plan: InstanceStartupPlan, view: View) -> Hooks:
        """On the master and its nodes."""
        return hooks.of_instance(view, plan.instance, path="instance-start", own={"FORCE": params.force})

    async def run(self, ctx: Context, params: InstanceStartupParams, plan: InstanceStartupPlan) -> Outcome:
        """Start it; a start that fails later is taken back."""
        for remark in plan.remarks:
            ctx.say(remark)
        if plan.guest is not None:
            node = plan.instance.primary_node
            await ctx.undo.later((node, InstanceStop(guest=plan.guest, force=True)))
            await ctx.call(node, InstanceStart(guest=plan.guest, paused=params.startup_paused))
        return Outcome(change=plan.change)


def _guest(params: InstanceStartupParams, view: View, instance: Instance) -> Guest:
    """The guest with the overrides of this start, checked as any change of parameters is."""
    draft = instance
    if params.beparams:
        draft = instances.replaced(draft, beparams=hypervisors.own_backend(view, draft.beparams, params.beparams))
    if params.hvparams:
        own = hypervisors.own_hypervisor(
            view, draft.hypervisor, draft.hvparams, params.hvparams, os_name=draft.os, beparams=draft.beparams
        )
        draft = instances.replaced(draft, hvparams=own)
    return guests.guest_of(view, draft)

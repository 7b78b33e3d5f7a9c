"""OP_INSTANCE_SHUTDOWN: an instance shall not run from now on. Stopping one that is down is fine."""

from __future__ import annotations

from typing import ClassVar, Literal

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Instance
from ganeti.ops.parts import guests, hooks, instances


class InstanceShutdownParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_SHUTDOWN"):
    """Spec: opcodes, OP_INSTANCE_SHUTDOWN. `timeout` 0 ends the guest at once."""

    force: bool = False
    ignore_offline_nodes: bool = False
    timeout: int = 120
    no_remember: bool = False
    admin_state_source: Literal["admin", "user"] | None = None


class InstanceShutdownPlan(Plan, frozen=True, kw_only=True):
    """Whether the node is asked, and what is written down at the end."""

    instance: Instance
    stop: bool
    change: Change


@operation
class InstanceShutdown(Operation[InstanceShutdownParams, GuestState | None, InstanceShutdownPlan]):
    """Stop an instance and remember that it shall be down."""

    params = InstanceShutdownParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceShutdownParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceShutdownParams) -> GuestState | None:
        """Only for source `user`, which claims that the guest went down by itself, the node is asked whether it did."""
        instance = instances.named(ask.view, params)
        if params.admin_state_source != "user" or instances.primary_of(ask.view, instance).offline:
            return None
        return await instances.guest_state(ask, instance)

    def plan(
        self, params: InstanceShutdownParams, facts: GuestState | None, view: View, ids: Ids
    ) -> InstanceShutdownPlan:
        """An instance marked offline is left alone unless forced: nobody says that it runs."""
        instance = instances.named(view, params)
        node = instances.primary_of(view, instance)
        if not params.force:
            instances.check_not_offline(instance)
        if not params.ignore_offline_nodes:
            instances.check_reachable(view, instance, way_out=" (--ignore-offline only marks the instance)")
        if instances.is_alive(facts):
            raise Refused(
                WRONG_STATE,
                f"instance {instance.name} was not shut down by its user: it is running",
                instance=instance.name,
            )
        remembered = {} if params.no_remember or instance.admin_state == "offline" else {"admin_state": "down"}
        if remembered:
            remembered["admin_state_source"] = params.admin_state_source or "admin"
        return InstanceShutdownPlan(
            instance=instance,
            stop=not node.offline,
            change=instances.put(instance, view.now_s, disks_active=False, **remembered),
            steps=(f"stop instance {instance.name} on {node.name} within {params.timeout} s",),
        )

    def hooks(self, params: InstanceShutdownParams, plan: InstanceShutdownPlan, view: View) -> Hooks:
        """On the master and its nodes."""
        return hooks.of_instance(view, plan.instance, path="instance-stop", own={"TIMEOUT": params.timeout})

    async def run(self, ctx: Context, params: InstanceShutdownParams, plan: InstanceShutdownPlan) -> Outcome:
        """Ask the guest first, end it when its time is over; its disks are put away."""
        instance = plan.instance
        if plan.stop:
            stop = InstanceStop(
                guest=guests.guest_of(ctx.view, instance), within_s=params.timeout, force=params.timeout <= 0
            )
            await ctx.call(instance.primary_node, stop)
        else:
            ctx.warn(f"the primary node is offline: instance {instance.name} is only marked to be down")
        return Outcome(change=plan.change)

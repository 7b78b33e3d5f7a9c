"""OP_INSTANCE_FAILOVER: an instance ends on its node, if that still lives, and begins on another with the same data."""

from __future__ import annotations

import msgspec

from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, operation
from ganeti.contract.view import View
from ganeti.ops.parts import cleaning_up, failing_over, instances, moves, targets


class InstanceFailoverParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_FAILOVER"):
    """Spec: opcodes, OP_INSTANCE_FAILOVER. `shutdown_timeout` 0 ends the guest at once."""

    shutdown_timeout: int = 120
    ignore_consistency: bool = False
    target_node: str | None = None
    target_node_uuid: str | None = None
    ignore_ipolicy: bool = False
    cleanup: bool = False
    iallocator: str | None = None


Facts = failing_over.FailoverFacts | cleaning_up.CleanupFacts
Decision = failing_over.FailoverPlan | cleaning_up.CleanupPlan


@operation
class InstanceFailover(Operation[InstanceFailoverParams, Facts, Decision]):
    """Fail over an instance, or clean up after a move."""

    params = InstanceFailoverParams

    def locks(self, params: InstanceFailoverParams, view: View) -> Locks:
        """The instance for itself; its possible nodes stay as they are."""
        instance = instances.named(view, params)
        if params.cleanup:
            return cleaning_up.locks_of(view, instance, _wanted(params))
        targets.refuse_allocator(params.iallocator)
        locks = instances.locks_of(instance)
        return msgspec.structs.replace(locks, shared=locks.shared | targets.locks_for(view, instance, _wanted(params)))

    async def survey(self, ask: Asker, params: InstanceFailoverParams) -> Facts:
        """Does it run, and who could take it?"""
        instance = instances.named(ask.view, params)
        if params.cleanup:
            return await cleaning_up.survey(ask, instance)
        return await failing_over.survey(ask, instance, _wanted(params))

    def plan(self, params: InstanceFailoverParams, facts: Facts, view: View, ids: Ids) -> Decision:
        """Choose the node."""
        instance = instances.named(view, params)
        if isinstance(facts, cleaning_up.CleanupFacts):
            return cleaning_up.plan(view, instance, facts)
        return failing_over.plan(
            view,
            instance,
            facts,
            _wanted(params),
            ignore_consistency=params.ignore_consistency,
            ignore_ipolicy=params.ignore_ipolicy,
            timeout_s=params.shutdown_timeout,
        )

    def hooks(self, params: InstanceFailoverParams, plan: Decision, view: View) -> Hooks:
        """On the master, where it was and where it goes."""
        own = {
            "FAILOVER_CLEANUP": params.cleanup,
            "IGNORE_CONSISTENCY": params.ignore_consistency,
            "SHUTDOWN_TIMEOUT": params.shutdown_timeout,
        }
        target = plan.owner if isinstance(plan, cleaning_up.CleanupPlan) else plan.target
        return moves.hooks_of(view, plan.instance, target, path="instance-failover", own=own, source_may_be_dead=True)

    async def run(self, ctx: Context, params: InstanceFailoverParams, plan: Decision) -> Outcome:
        """Stop, change the owner, start."""
        if isinstance(plan, cleaning_up.CleanupPlan):
            return await cleaning_up.run(ctx, plan)
        return await failing_over.run(ctx, plan, timeout_s=params.shutdown_timeout)


def _wanted(params: InstanceFailoverParams) -> str | None:
    return params.target_node_uuid or params.target_node

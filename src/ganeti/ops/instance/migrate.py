"""OP_INSTANCE_MIGRATE: an instance goes to another node while it runs, with its disks where they are not shared."""

from __future__ import annotations

from typing import Literal

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, operation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Uuid
from ganeti.ops.parts import cleaning_up, failing_over, instances, migrating, moves, targets

SHUTDOWN_WITHIN_S = 120
"""When it turns out to be a failover: how long the guest has to shut down."""


class InstanceMigrateParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_MIGRATE"):
    """Spec: opcodes, OP_INSTANCE_MIGRATE. `live` is the older form of `mode`."""

    mode: Literal["live", "non-live"] | None = None
    live: bool | None = None
    target_node: str | None = None
    target_node_uuid: str | None = None
    allow_runtime_changes: bool = True
    ignore_ipolicy: bool = False
    cleanup: bool = False
    iallocator: str | None = None
    allow_failover: bool = False
    ignore_hvversions: bool = False


Facts = migrating.MigrationFacts | failing_over.FailoverFacts | cleaning_up.CleanupFacts
Decision = migrating.MigrationPlan | failing_over.FailoverPlan | cleaning_up.CleanupPlan


@operation
class InstanceMigrate(Operation[InstanceMigrateParams, Facts, Decision]):
    """Migrate an instance, fail it over instead, or clean up after such a move."""

    params = InstanceMigrateParams

    def locks(self, params: InstanceMigrateParams, view: View) -> Locks:
        """The instance for itself; its possible nodes stay as they are."""
        if params.cleanup:
            return cleaning_up.locks_of(view, instances.named(view, params), _wanted(params))
        targets.refuse_allocator(params.iallocator)
        _mode(params)
        instance = instances.named(view, params)
        locks = instances.locks_of(instance)
        return msgspec.structs.replace(locks, shared=locks.shared | targets.locks_for(view, instance, _wanted(params)))

    async def survey(self, ask: Asker, params: InstanceMigrateParams) -> Facts:
        """What it is going to be depends on whether it runs."""
        instance = instances.named(ask.view, params)
        if params.cleanup:
            return await cleaning_up.survey(ask, instance)
        if _always_fails_over(ask.view, instance):
            return await failing_over.survey(ask, instance, _wanted(params))
        facts = await migrating.survey(ask, instance, _wanted(params), ignore_version=params.ignore_hvversions)
        if facts.moving is None and params.allow_failover:
            return await failing_over.survey(ask, instance, _wanted(params))
        return facts

    def plan(self, params: InstanceMigrateParams, facts: Facts, view: View, ids: Ids) -> Decision:
        """Choose the node and the way."""
        instance = instances.named(view, params)
        match facts:
            case cleaning_up.CleanupFacts():
                return cleaning_up.plan(view, instance, facts)
            case failing_over.FailoverFacts():
                return failing_over.plan(
                    view,
                    instance,
                    facts,
                    _wanted(params),
                    ignore_consistency=False,
                    ignore_ipolicy=params.ignore_ipolicy,
                    timeout_s=SHUTDOWN_WITHIN_S,
                )
            case migrating.MigrationFacts():
                return migrating.plan(
                    view,
                    instance,
                    facts,
                    _wanted(params),
                    mode=_mode(params),
                    allow_runtime_changes=params.allow_runtime_changes,
                    ignore_ipolicy=params.ignore_ipolicy,
                )

    def hooks(self, params: InstanceMigrateParams, plan: Decision, view: View) -> Hooks:
        """On the master, where it was and where it goes."""
        own = {
            "ALLOW_RUNTIME_CHANGES": params.allow_runtime_changes,
            "MIGRATE_CLEANUP": params.cleanup,
            "MIGRATE_LIVE": isinstance(plan, migrating.MigrationPlan) and plan.pace.live,
        }
        return moves.hooks_of(view, plan.instance, _target(plan), path="instance-migrate", own=own)

    async def run(self, ctx: Context, params: InstanceMigrateParams, plan: Decision) -> Outcome:
        """Do it."""
        match plan:
            case cleaning_up.CleanupPlan():
                return await cleaning_up.run(ctx, plan)
            case failing_over.FailoverPlan():
                why = "it shall always fail over (always_failover)"
                if not _always_fails_over(ctx.view, plan.instance):
                    why = "it does not run"
                ctx.say(f"Failing over instance {plan.instance.name} instead of migrating it: {why}")
                return await failing_over.run(ctx, plan, timeout_s=SHUTDOWN_WITHIN_S)
            case migrating.MigrationPlan():
                return await migrating.run(ctx, plan)


def _wanted(params: InstanceMigrateParams) -> str | None:
    return params.target_node_uuid or params.target_node


def _target(plan: Decision) -> Uuid:
    return plan.owner if isinstance(plan, cleaning_up.CleanupPlan) else plan.target


def _always_fails_over(view: View, instance: Instance) -> bool:
    return bool(effective.backend_params(view.cluster, instance.beparams)["always_failover"])


def _mode(params: InstanceMigrateParams) -> str | None:
    if params.mode is not None and params.live is not None:
        raise Refused(WRONG_INPUT, "mode and its older form live cannot be given both; leave live out")
    return params.mode if params.live is None else ("live" if params.live else "non-live")

"""OP_INSTANCE_CONSOLE: how the console of a running instance is reached."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.instance import InstanceConsoleGet
from ganeti.contract.guest import Console
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Recovery, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.ops.parts import guests, instances


class InstanceConsoleParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_CONSOLE"):
    """Spec: opcodes, OP_INSTANCE_CONSOLE."""


@operation
class InstanceConsole(Operation[InstanceConsoleParams, Console, SimplePlan]):
    """Say how to reach a console. Changes nothing."""

    params = InstanceConsoleParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceConsoleParams, view: View) -> Locks:
        """The instance, shared."""
        return instances.locks_of(instances.named(view, params), shared=True)

    async def survey(self, ask: Asker, params: InstanceConsoleParams) -> Console:
        """Ask the node, if the guest runs."""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        if not instances.is_alive(await instances.guest_state(ask, instance)):
            raise Refused(
                WRONG_STATE,
                f"instance {instance.name} is not running, so it has no console; "
                f"start it with 'gnt-instance startup {instance.name}'",
                instance=instance.name,
            )
        guest = guests.guest_of(ask.view, instance)
        return await ask.call(instance.primary_node, InstanceConsoleGet(guest=guest))

    def plan(self, params: InstanceConsoleParams, facts: Console, view: View, ids: Ids) -> SimplePlan:
        """The keys of the result are those of `contract.guest.Console`."""
        return SimplePlan(result=msgspec.to_builtins(facts), dry_result=msgspec.to_builtins(facts))

    async def run(self, ctx: Context, params: InstanceConsoleParams, plan: SimplePlan) -> Outcome:
        """Nothing to do."""
        return Outcome(result=plan.result)

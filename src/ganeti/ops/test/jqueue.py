"""OP_TEST_JQUEUE: logs messages and fails on request."""

from __future__ import annotations

from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.base.ids import Ids
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View


class TestJqueueParams(OpParams, frozen=True, kw_only=True, tag="OP_TEST_JQUEUE"):
    """Spec: opcodes, OP_TEST_JQUEUE."""

    notify_waitlock: bool = False
    notify_exec: bool = False
    log_messages: tuple[str, ...] = ()
    fail: bool = False


@operation
class TestJqueue(Operation[TestJqueueParams, None, Plan]):
    """For tests of the queue."""

    params = TestJqueueParams

    def locks(self, params: TestJqueueParams, view: View) -> Locks:
        """None."""
        return Locks()

    async def survey(self, ask: Asker, params: TestJqueueParams) -> None:
        """Nothing to ask."""

    def plan(self, params: TestJqueueParams, facts: None, view: View, ids: Ids) -> Plan:
        """Refuses to call back through a socket."""
        if params.notify_waitlock or params.notify_exec:
            raise Refused(
                WRONG_INPUT, "calling a test client back is not served; wait for the state of the job instead"
            )
        return Plan(dry_result=True)

    async def run(self, ctx: Context, params: TestJqueueParams, plan: Plan) -> Outcome:
        """True, or the failure that was asked for."""
        for message in params.log_messages:
            ctx.say(message)
        if params.fail:
            raise Failed("this job was asked to fail")
        return Outcome(result=True)

"""OP_TEST_DUMMY: does as it is told: logs, fails, submits jobs, returns a result."""

from __future__ import annotations

from typing import Any, ClassVar

from ganeti.base.errors import Failed
from ganeti.base.ids import Ids
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View


class TestDummyParams(OpParams, frozen=True, kw_only=True, tag="OP_TEST_DUMMY"):
    """Spec: opcodes, OP_TEST_DUMMY."""

    result: Any = None
    messages: tuple[Any, ...] | None = ()
    fail: Any = None
    submit_jobs: tuple[tuple[dict[str, Any], ...], ...] | None = None


@operation
class TestDummy(Operation[TestDummyParams, None, Plan]):
    """For tests of the queue and of clients."""

    params = TestDummyParams
    recovery: ClassVar[Recovery] = "undo"

    def locks(self, params: TestDummyParams, view: View) -> Locks:
        """None."""
        return Locks()

    async def survey(self, ask: Asker, params: TestDummyParams) -> None:
        """Nothing to ask."""

    def plan(self, params: TestDummyParams, facts: None, view: View, ids: Ids) -> Plan:
        """Nothing to decide."""
        return Plan(dry_result=params.result)

    async def run(self, ctx: Context, params: TestDummyParams, plan: Plan) -> Outcome:
        """With `submit_jobs` the result has their ids under `jobs`."""
        for message in params.messages or ():
            ctx.say(str(message))
        if params.fail:
            raise Failed(str(params.fail))
        if params.submit_jobs is None:
            return Outcome(result=params.result)
        jobs = [[True, job] for job in await ctx.submit(params.submit_jobs)]
        other = params.result if isinstance(params.result, dict) else {"result": params.result}
        return Outcome(result={**other, "jobs": jobs})

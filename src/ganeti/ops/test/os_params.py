"""OP_TEST_OS_PARAMS: tells the secret OS parameters that arrived, into the log; for made-up secrets only."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import Failed
from ganeti.base.ids import Ids
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.model.objects import Params


class TestOsParamsParams(OpParams, frozen=True, kw_only=True, tag="OP_TEST_OS_PARAMS"):
    """Spec: opcodes, OP_TEST_OS_PARAMS."""

    secret_fields: ClassVar[tuple[str, ...]] = ("osparams_secret",)

    osparams_secret: Params | None = None


@operation
class TestOsParams(Operation[TestOsParamsParams, None, Plan]):
    """For tests of the way secrets go."""

    params = TestOsParamsParams

    def locks(self, params: TestOsParamsParams, view: View) -> Locks:
        """None."""
        return Locks()

    async def survey(self, ask: Asker, params: TestOsParamsParams) -> None:
        """Nothing to ask."""

    def plan(self, params: TestOsParamsParams, facts: None, view: View, ids: Ids) -> Plan:
        """Nothing to decide."""
        return Plan()

    async def run(self, ctx: Context, params: TestOsParamsParams, plan: Plan) -> Outcome:
        """Echoes them into the log: that is what this operation is for."""
        if not params.osparams_secret:
            raise Failed("no secret OS parameters arrived")
        for name, value in sorted(params.osparams_secret.items()):
            ctx.say(f"{name}: {value}")
        return Outcome()

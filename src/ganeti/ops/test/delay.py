"""OP_TEST_DELAY: nothing happens for a while, on the master, on nodes or both; for tests of the queue."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from ganeti.base.errors import WRONG_INPUT, Failed, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import NodeDelay
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Uuid


class TestDelayParams(OpParams, frozen=True, kw_only=True, tag="OP_TEST_DELAY"):
    """Spec: opcodes, OP_TEST_DELAY. `duration` in seconds, `repeat` further times."""

    summary_field: ClassVar[str | None] = "duration"

    duration: float
    on_master: bool = True
    on_nodes: tuple[str, ...] = ()
    on_node_uuids: tuple[str, ...] | None = None
    repeat: int = 0
    interruptible: bool = False
    no_locks: bool = True


class TestDelayPlan(Plan, frozen=True, kw_only=True):
    """The nodes that wait too."""

    nodes: tuple[Uuid, ...]


@operation
class TestDelay(Operation[TestDelayParams, None, TestDelayPlan]):
    """Wait."""

    params = TestDelayParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: TestDelayParams, view: View) -> Locks:
        """The nodes for itself, unless it may do without."""
        nodes = _nodes(params, view)
        return Locks() if params.no_locks else Locks(exclusive=frozenset(f"node/{uuid}" for uuid in nodes))

    async def survey(self, ask: Asker, params: TestDelayParams) -> None:
        """Nothing to ask."""

    def plan(self, params: TestDelayParams, facts: None, view: View, ids: Ids) -> TestDelayPlan:
        """Refuses a duration that is none."""
        if not 0 <= params.duration <= 10 * 365 * 86_400:
            raise Refused(WRONG_INPUT, f"a delay lasts from 0 s on, and an end is in sight; not {params.duration} s")
        if params.repeat < 0:
            raise Refused(WRONG_INPUT, f"a delay is repeated 0 times or more, not {params.repeat} times")
        if params.interruptible:
            raise Refused(WRONG_INPUT, "a delay that ends through a socket is not served; cancel its job with --kill")
        return TestDelayPlan(nodes=_nodes(params, view), steps=(f"wait {params.duration:g} s",))

    async def run(self, ctx: Context, params: TestDelayParams, plan: TestDelayPlan) -> Outcome:
        """Master first, then the nodes at once."""
        for number in range(params.repeat + 1):
            if params.repeat:
                ctx.say(f"Test delay iteration {number}/{params.repeat}")
            if params.on_master:
                await asyncio.sleep(params.duration)
            if plan.nodes:
                answers = await ctx.call_each(dict.fromkeys(plan.nodes, NodeDelay(duration_s=params.duration)))
                for answer in answers.values():
                    if isinstance(answer, (Failed, Unavailable)):
                        raise answer
        return Outcome()


def _nodes(params: TestDelayParams, view: View) -> tuple[Uuid, ...]:
    names = params.on_nodes or params.on_node_uuids or ()
    return tuple(dict.fromkeys(view.picture.node(name).uuid for name in names))

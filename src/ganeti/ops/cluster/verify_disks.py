"""OP_CLUSTER_VERIFY_DISKS: submits one verification of disks for each group."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.ids import Ids
from ganeti.contract.operation import (
    Asker,
    Context,
    Locks,
    Operation,
    OpParams,
    Outcome,
    Recovery,
    SimplePlan,
    operation,
)
from ganeti.contract.view import View


class ClusterVerifyDisksParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_DISKS"):
    """Spec: opcodes, OP_CLUSTER_VERIFY_DISKS."""

    group_name: str | None = None
    is_strict: bool = True


@operation
class ClusterVerifyDisks(Operation[ClusterVerifyDisksParams, None, SimplePlan]):
    """Result: `{"jobs": [[true, id], ...]}`."""

    params = ClusterVerifyDisksParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterVerifyDisksParams, view: View) -> Locks:
        """None: the jobs have their own."""
        return Locks()

    async def survey(self, ask: Asker, params: ClusterVerifyDisksParams) -> None:
        """Nothing to ask."""

    def plan(self, params: ClusterVerifyDisksParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """All groups, or the one that was named."""
        groups = view.picture.groups.values() if params.group_name is None else [view.picture.group(params.group_name)]
        names = sorted(group.name for group in groups)
        return SimplePlan(result=names, steps=tuple(f"verify the disks of group {name}" for name in names))

    async def run(self, ctx: Context, params: ClusterVerifyDisksParams, plan: SimplePlan) -> Outcome:
        """Submit them all."""
        jobs = await ctx.submit(
            [
                [{"OP_ID": "OP_GROUP_VERIFY_DISKS", "group_name": name, "is_strict": params.is_strict}]
                for name in plan.result
            ]
        )
        return Outcome(result={"jobs": [[True, job] for job in jobs]})

"""OP_CLUSTER_VERIFY: submits one job that verifies the configuration, and one for each node group."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ganeti.base.ids import Ids
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.ops.cluster import findings

Check = Literal["nplusone_mem", "hvparam_assessment"]


class ClusterVerifyParams(findings.VerifyParams, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY"):
    """Spec: opcodes, OP_CLUSTER_VERIFY."""

    skip_checks: tuple[Check, ...] = ()
    group_name: str | None = None
    verify_clutter: bool = False


class ClusterVerifyPlan(Plan, frozen=True, kw_only=True):
    """Jobs of one operation each."""

    jobs: tuple[tuple[dict[str, Any], ...], ...]


@operation
class ClusterVerify(Operation[ClusterVerifyParams, None, ClusterVerifyPlan]):
    """Verify everything. Result: `{"jobs": [[true, id], ...]}`."""

    params = ClusterVerifyParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterVerifyParams, view: View) -> Locks:
        """None: the jobs have their own."""
        return Locks()

    async def survey(self, ask: Asker, params: ClusterVerifyParams) -> None:
        """Nothing to ask."""

    def plan(self, params: ClusterVerifyParams, facts: None, view: View, ids: Ids) -> ClusterVerifyPlan:
        """The group jobs wait for the one of the configuration; with a group given it is left out."""
        findings.check_codes(params)
        common = {
            "debug_simulate_errors": params.debug_simulate_errors,
            "error_codes": params.error_codes,
            "ignore_errors": list(params.ignore_errors),
            "verbose": params.verbose,
        }
        jobs: list[tuple[dict[str, Any], ...]] = []
        if params.group_name is None:
            groups = sorted(group.name for group in view.picture.groups.values())
            jobs.append(({"OP_ID": "OP_CLUSTER_VERIFY_CONFIG", **common},))
        else:
            groups = [view.picture.group(params.group_name).name]
        for group in groups:
            depends = {"depends": [[-len(jobs), []]]} if params.group_name is None else {}
            jobs.append(
                (
                    {
                        "OP_ID": "OP_CLUSTER_VERIFY_GROUP",
                        "group_name": group,
                        "skip_checks": list(params.skip_checks),
                        "verify_clutter": params.verify_clutter,
                        **common,
                        **depends,
                    },
                )
            )
        steps = tuple(f"submit a job of {ops[0]['OP_ID']}" for ops in jobs)
        return ClusterVerifyPlan(jobs=tuple(jobs), steps=steps)

    async def run(self, ctx: Context, params: ClusterVerifyParams, plan: ClusterVerifyPlan) -> Outcome:
        """Submit them."""
        return Outcome(result={"jobs": [[True, job] for job in await ctx.submit(plan.jobs)]})

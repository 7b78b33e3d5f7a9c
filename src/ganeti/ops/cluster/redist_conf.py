"""OP_CLUSTER_REDIST_CONF: tell every node again what it must know of the cluster."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import Failed, GanetiError
from ganeti.base.ids import Ids
from ganeti.contract.operation import (
    Asker,
    Context,
    Locks,
    Operation,
    OpParams,
    Outcome,
    Plan,
    Recovery,
    operation,
)
from ganeti.contract.view import View
from ganeti.ops.parts import membership


class ClusterRedistConfParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_REDIST_CONF"):
    """Spec: opcodes, OP_CLUSTER_REDIST_CONF."""


@operation
class ClusterRedistConf(Operation[ClusterRedistConfParams, None, Plan]):
    """Push settings and ssconf files. Result: nothing."""

    params = ClusterRedistConfParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterRedistConfParams, view: View) -> Locks:
        """All nodes, shared."""
        return Locks(shared=frozenset(f"node/{uuid}" for uuid in view.picture.nodes))

    async def survey(self, ask: Asker, params: ClusterRedistConfParams) -> None:
        """Nothing to ask."""

    def plan(self, params: ClusterRedistConfParams, facts: None, view: View, ids: Ids) -> Plan:
        """To everybody who is online."""
        names = sorted(node.name for node in view.picture.nodes.values() if not node.offline)
        return Plan(steps=tuple(f"tell {name}" for name in names))

    async def run(self, ctx: Context, params: ClusterRedistConfParams, plan: Plan) -> Outcome:
        """`Failed` names the nodes that could not be told; all others were."""
        picture = ctx.view.picture
        online = [node.uuid for node in picture.nodes.values() if not node.offline]
        answers = await ctx.call_each(dict.fromkeys(online, membership.settings_for(picture)))
        silent = {picture.nodes[uuid].name: said for uuid, said in answers.items() if isinstance(said, GanetiError)}
        for name, error in sorted(silent.items()):
            ctx.warn(f"{name}: {error.message}")
        if silent:
            raise Failed(f"{len(silent)} of {len(online)} nodes could not be told: {', '.join(sorted(silent))}")
        return Outcome()

"""OP_CLUSTER_ACTIVATE_MASTER_IP and OP_CLUSTER_DEACTIVATE_MASTER_IP: the address of the cluster on the master's device."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from ganeti.base.ids import Ids
from ganeti.contract.calls.member import MasterAddressPut
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


class ClusterActivateMasterIpParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_ACTIVATE_MASTER_IP"):
    """Spec: opcodes, OP_CLUSTER_ACTIVATE_MASTER_IP."""


class ClusterDeactivateMasterIpParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_DEACTIVATE_MASTER_IP"):
    """Spec: opcodes, OP_CLUSTER_DEACTIVATE_MASTER_IP."""


P = TypeVar("P", bound=OpParams)


class _Switch(Operation[P, None, Plan]):
    recovery: ClassVar[Recovery] = "rerun"
    up: ClassVar[bool]

    def locks(self, params: P, view: View) -> Locks:
        """The cluster for itself."""
        return Locks(exclusive=frozenset({"cluster"}))

    async def survey(self, ask: Asker, params: P) -> None:
        """Nothing to ask."""

    def plan(self, params: P, facts: None, view: View, ids: Ids) -> Plan:
        """Nothing to decide."""
        cluster = view.cluster
        deed = "have" if self.up else "take away"
        return Plan(steps=(f"{deed} {cluster.master_ip}/{cluster.master_netmask} on {cluster.master_netdev}",))

    async def run(self, ctx: Context, params: P, plan: Plan) -> Outcome:
        """Tell the master's node."""
        cluster = ctx.view.cluster
        call = MasterAddressPut(
            address=cluster.master_ip, netmask=cluster.master_netmask, device=cluster.master_netdev, up=self.up
        )
        await ctx.call(cluster.master_node, call)
        return Outcome()


@operation
class ClusterActivateMasterIp(_Switch[ClusterActivateMasterIpParams]):
    """Set the address up. Result: nothing."""

    params = ClusterActivateMasterIpParams
    up = True


@operation
class ClusterDeactivateMasterIp(_Switch[ClusterDeactivateMasterIpParams]):
    """Take the address down until it is activated again or the master daemon starts. Result: nothing."""

    params = ClusterDeactivateMasterIpParams
    up = False

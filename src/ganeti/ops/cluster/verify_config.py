"""OP_CLUSTER_VERIFY_CONFIG: the configuration is consistent, and the certificates are valid for some time to come."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import Failed, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import NodeInventory, NodeInventoryGet
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Uuid
from ganeti.ops.cluster import check_config, findings
from ganeti.ops.cluster.findings import Finding, Section, VerifyPlan

CERTIFICATE_ERROR_S = 7 * 86_400
CERTIFICATE_WARNING_S = 30 * 86_400

Inventories = dict[Uuid, NodeInventory | Unavailable | Failed]


class ClusterVerifyConfigParams(findings.VerifyParams, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_CONFIG"):
    """Spec: opcodes, OP_CLUSTER_VERIFY_CONFIG."""


@operation
class ClusterVerifyConfig(Operation[ClusterVerifyConfigParams, Inventories, VerifyPlan]):
    """Verify the configuration. Result: true when there is no error."""

    params = ClusterVerifyConfigParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterVerifyConfigParams, view: View) -> Locks:
        """Only the cluster, shared: one picture is consistent in itself."""
        return Locks()

    async def survey(self, ask: Asker, params: ClusterVerifyConfigParams) -> Inventories:
        """Ask each node when its certificate ends."""
        nodes = [node.uuid for node in ask.view.picture.nodes.values() if not node.offline]
        return await ask.call_each(dict.fromkeys(nodes, NodeInventoryGet()))

    def plan(self, params: ClusterVerifyConfigParams, facts: Inventories, view: View, ids: Ids) -> VerifyPlan:
        """Compare everything with everything."""
        findings.check_codes(params)
        codes = ("ECLUSTERCERT", "ECLUSTERCFG")
        return VerifyPlan(
            sections=(
                Section(heading="Verifying cluster config", findings=tuple(check_config.consistency(view))),
                Section(heading="Verifying cluster certificates", findings=tuple(_certificates(view, facts))),
                Section(heading="Verifying hypervisor parameters", findings=tuple(check_config.parameters(view))),
                Section(heading="Verifying all nodes belong to an existing group", findings=_dangling(view)),
                *_copies(view),
                *findings.simulated(params, codes, ""),
            )
        )

    async def run(self, ctx: Context, params: ClusterVerifyConfigParams, plan: VerifyPlan) -> Outcome:
        """Say what was found."""
        return Outcome(result=findings.tell(ctx, params, plan.sections))


def _copies(view: View) -> tuple[Section, ...]:
    if not view.lagging:
        return ()
    found = tuple(
        Finding(code="ENODEFILECHECK", name=name, message=f"its copy of the configuration is behind: {why}")
        for name, why in sorted(view.lagging.items())
    )
    return (Section(heading="Verifying copies of the configuration", findings=found),)


def _dangling(view: View) -> tuple[Finding, ...]:
    return tuple(check_config.dangling(view))


def _certificates(view: View, inventories: Inventories) -> list[Finding]:
    found = []
    for uuid, inventory in inventories.items():
        node = view.picture.nodes.get(uuid)
        if node is None or not isinstance(inventory, NodeInventory) or inventory.certificate_expires_s is None:
            continue  # a silent node is the business of its group's verification
        left_s = inventory.certificate_expires_s - view.now_s
        if left_s >= CERTIFICATE_WARNING_S:
            continue
        code = "ECLUSTERCERT" if node.uuid == view.cluster.master_node else "ECLUSTERCLIENTCERT"
        days = int(left_s // 86_400)
        when = f"expires in {days} days" if left_s > 0 else f"expired {-days} days ago"
        found.append(
            Finding(
                code=code,
                name="",
                message=f"the certificate of node {node.name} {when}",
                error=left_s < CERTIFICATE_ERROR_S,
            )
        )
    return found

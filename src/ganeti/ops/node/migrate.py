"""OP_NODE_MIGRATE: every instance of a node goes elsewhere while it runs, each as a job of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.model.objects import Node
from ganeti.ops.parts import hooks, targets


class NodeMigrateParams(OpParams, frozen=True, kw_only=True, tag="OP_NODE_MIGRATE"):
    """Spec: opcodes, OP_NODE_MIGRATE. `live` is the older form of `mode`."""

    summary_field: ClassVar[str | None] = "node_name"

    node_name: str
    node_uuid: str | None = None
    mode: Literal["live", "non-live"] | None = None
    live: bool | None = None
    target_node: str | None = None
    target_node_uuid: str | None = None
    allow_runtime_changes: bool = True
    ignore_ipolicy: bool = False
    iallocator: str | None = None


class NodeMigratePlan(Plan, frozen=True, kw_only=True):
    """The jobs to submit."""

    node: Node
    jobs: tuple[tuple[dict[str, Any], ...], ...]


@operation
class NodeMigrate(Operation[NodeMigrateParams, None, NodeMigratePlan]):
    """Migrate all instances of a node. A job whose instance does not run fails and says what to do."""

    params = NodeMigrateParams

    def locks(self, params: NodeMigrateParams, view: View) -> Locks:
        """The node stays as it is."""
        return Locks(shared=frozenset({f"node/{_node(params, view).uuid}"}))

    async def survey(self, ask: Asker, params: NodeMigrateParams) -> None:
        """Each job asks for itself."""

    def plan(self, params: NodeMigrateParams, facts: None, view: View, ids: Ids) -> NodeMigratePlan:
        """One job for each instance."""
        targets.refuse_allocator(params.iallocator)
        node = _node(params, view)
        if node.offline:
            raise Refused(
                WRONG_STATE,
                f"node {node.name} is offline, so nothing can be migrated from it; 'gnt-node failover {node.name}' starts its "
                "instances elsewhere",
                node=node.name,
            )
        wanted = params.target_node_uuid or params.target_node
        if wanted is not None:
            target = view.picture.node(wanted)
            if target.uuid == node.uuid:
                raise Refused(WRONG_STATE, f"node {node.name} cannot be its own target", node=node.name)
            if words := targets.obstacle(target):
                raise Refused(WRONG_STATE, f"node {target.name} {words}", node=target.name)
        names = sorted(instance.name for instance in view.picture.instances_on(node.uuid))
        given = {
            "mode": params.mode,
            "live": params.live,
            "target_node": params.target_node,
            "target_node_uuid": params.target_node_uuid,
        }
        common = {name: value for name, value in given.items() if value is not None} | {
            "OP_ID": "OP_INSTANCE_MIGRATE",
            "allow_runtime_changes": params.allow_runtime_changes,
            "ignore_ipolicy": params.ignore_ipolicy,
            "priority": params.priority,
            "reason": list(params.reason),
        }
        return NodeMigratePlan(
            node=node,
            jobs=tuple(({**common, "instance_name": name},) for name in names),
            steps=tuple(f"submit a job that migrates {name}" for name in names),
            dry_result={"jobs": []},
        )

    def hooks(self, params: NodeMigrateParams, plan: NodeMigratePlan, view: View) -> Hooks:
        """On the master."""
        env = {"NODE_NAME": plan.node.name, "ALLOW_RUNTIME_CHANGES": hooks.text(params.allow_runtime_changes)}
        nodes = hooks.with_master(view)
        return Hooks(path="node-migrate", object_type="NODE", env=env, pre_nodes=nodes, post_nodes=nodes)

    async def run(self, ctx: Context, params: NodeMigrateParams, plan: NodeMigratePlan) -> Outcome:
        """Submit them all."""
        jobs = await ctx.submit(plan.jobs) if plan.jobs else []
        return Outcome(result={"jobs": [[True, job] for job in jobs]})


def _node(params: NodeMigrateParams, view: View) -> Node:
    return view.picture.node(params.node_uuid or params.node_name)

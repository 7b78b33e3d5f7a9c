"""OP_NODE_REMOVE: a node leaves the cluster. From then on its certificate is refused by every other node."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import WRONG_INPUT, GanetiError, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import NodeLeave
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.contract.wire import Address
from ganeti.model.objects import Node, changed
from ganeti.ops.parts import hooks, membership
from ganeti.ops.parts.hook_phases import HookPhases


class NodeRemoveParams(OpParams, frozen=True, kw_only=True, tag="OP_NODE_REMOVE"):
    """Spec: opcodes, OP_NODE_REMOVE."""

    summary_field: ClassVar[str | None] = "node_name"

    node_name: str
    node_uuid: str | None = None


class RemovePlan(Plan, frozen=True, kw_only=True):
    """The node, and those that become master candidates in its place, as they will be."""

    node: Node
    promoted: tuple[Node, ...]


@operation
class NodeRemove(Operation[NodeRemoveParams, None, RemovePlan]):
    """Remove a node. Result: nothing."""

    params = NodeRemoveParams

    def locks(self, params: NodeRemoveParams, view: View) -> Locks:
        """The cluster for itself: what every node knows changes."""
        view.picture.node(params.node_name)
        return Locks(exclusive=frozenset({"cluster"}))

    async def survey(self, ask: Asker, params: NodeRemoveParams) -> None:
        """Nothing to ask: a dead node can be removed too."""

    def plan(self, params: NodeRemoveParams, facts: None, view: View, ids: Ids) -> RemovePlan:
        """Refuses the master, and a node that instances need."""
        node = view.picture.node(params.node_name)
        if node.uuid == view.cluster.master_node:
            raise Refused(
                WRONG_INPUT,
                f"node {node.name} is the master; make another node the master first: 'gnt-cluster master-failover' there",
                node=node.name,
            )
        users = sorted(
            {each.name for each in view.picture.instances_on(node.uuid)}
            | {each.name for each in view.picture.instances_mirrored_to(node.uuid)}
        )
        if users:
            shown = ", ".join(users[:5]) + (", ..." if len(users) > 5 else "")
            raise Refused(
                WRONG_INPUT,
                f"node {node.name} is used by {len(users)} instance{'s' * (len(users) != 1)} ({shown}); move them to other "
                "nodes or remove them first",
                node=node.name,
                instances=users,
            )
        chosen = membership.promoted(view.picture, without=[node.uuid])
        return RemovePlan(
            node=node,
            promoted=tuple(changed(each, view.now_s, master_candidate=True) for each in chosen),
            steps=(
                *(f"make {each.name} a master candidate" for each in chosen),
                f"remove node {node.name} from the configuration",
                f"let {node.name} forget the cluster",
            ),
        )

    def hooks(self, params: NodeRemoveParams, plan: RemovePlan, view: View) -> Hooks:
        """On the nodes that stay; the one that goes has its own, before it goes."""
        staying = tuple(uuid for uuid in sorted(view.picture.nodes) if uuid != plan.node.uuid)
        env = hooks.node_environment(plan.node)
        return Hooks(path="node-remove", object_type="NODE", env=env, pre_nodes=staying, post_nodes=staying)

    async def run(self, ctx: Context, params: NodeRemoveParams, plan: RemovePlan) -> Outcome:
        """The configuration first: a node that cannot be told is out all the same."""
        node = plan.node
        debts = ctx.view.debts.get(node.uuid, 0)
        await self._say_goodbye(ctx, node)
        await ctx.commit(Change(put=plan.promoted, remove=(node,)))
        for each in plan.promoted:
            ctx.say(f"node {each.name} is a master candidate now")
        picture = ctx.view.picture
        settings = membership.settings_for(picture)
        online = [each.uuid for each in picture.nodes.values() if not each.offline]
        for uuid, answer in (await ctx.call_each(dict.fromkeys(online, settings))).items():
            if isinstance(answer, GanetiError):
                ctx.warn(
                    f"node {picture.nodes[uuid].name} does not know yet that {node.name} is gone: {answer.message}"
                )
        if debts:
            ctx.warn(f"{debts} reversals of failed jobs were never played on {node.name}; look there for what is left")
        address = Address(name=node.name, host=node.primary_ip, port=node.port, certificate=node.certificate)
        try:
            await ctx.call_at(address, NodeLeave())
        except GanetiError as error:
            ctx.warn(
                f"{node.name} could not be told to forget the cluster ({error.message}); nobody obeys it any more, but "
                "stop its daemons and guests before you use it again"
            )
        else:
            ctx.say(f"{node.name} has left the cluster")
        return Outcome()

    async def _say_goodbye(self, ctx: Context, node: Node) -> None:
        """The scripts of phase post of the node that goes: afterwards nobody may run them any more."""
        env = hooks.node_environment(node)
        its_own = Hooks(path="node-remove", object_type="NODE", env=env, post_nodes=(node.uuid,))
        ran = await HookPhases("OP_NODE_REMOVE").run(ctx, ctx.view, its_own, "post")
        for name, why in ran.silent:
            ctx.warn(f"the hooks of node {name} were not run: {why}")
        for each in ran.failures:
            ctx.warn(f"hook {each.script} failed on node {each.node}: {' '.join(each.output.split()) or 'no output'}")

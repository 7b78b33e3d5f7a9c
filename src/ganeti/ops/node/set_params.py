"""OP_NODE_SET_PARAMS: parameters and flags of a node. Pure configuration; what it does to others, they read there."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Change, ConfigOperation, Locks, OpParams, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Node, Params, changed
from ganeti.model.params import own_values
from ganeti.ops.parts import hooks, membership


class NodeSetParamsParams(OpParams, frozen=True, kw_only=True, tag="OP_NODE_SET_PARAMS"):
    """Spec: opcodes, OP_NODE_SET_PARAMS."""

    summary_field: ClassVar[str | None] = "node_name"

    node_name: str
    node_uuid: str | None = None
    force: bool = False
    hv_state: Params | None = None
    disk_state: Params | None = None
    master_candidate: bool | None = None
    offline: bool | None = None
    drained: bool | None = None
    auto_promote: bool = False
    master_capable: bool | None = None
    vm_capable: bool | None = None
    secondary_ip: str | None = None
    ndparams: Params | None = None
    powered: bool | None = None


_LATER: Final = {
    "hv_state": "declared hypervisor state",
    "disk_state": "declared disk state",
    "secondary_ip": "another secondary address (-s)",
}
_ROLES: Final = ("master_candidate", "offline", "drained")
_FLAGS: Final = (*_ROLES, "master_capable", "vm_capable", "powered")


@operation
class NodeSetParams(ConfigOperation[NodeSetParamsParams]):
    """Change a node. Result: a list of [what, new value]."""

    params = NodeSetParamsParams

    def locks(self, params: NodeSetParamsParams, view: View) -> Locks:
        """The node for itself: nobody is at work on it while its role changes."""
        return Locks(exclusive=frozenset({f"node/{_named(view, params).uuid}"}))

    def plan(self, params: NodeSetParamsParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses what would leave the cluster without its master or the node in two roles."""
        for field, words in _LATER.items():
            if getattr(params, field):
                raise Refused(WRONG_INPUT, f"{words} is not served yet", parameter=field)
        node = _named(view, params)
        fields = _flags(params, view, node)
        result: list[list[Any]] = [[name, value] for name, value in fields.items()]
        if params.ndparams:
            own = own_values(effective.NODE, node.ndparams, params.ndparams, where=f"node {node.name}")
            fields["ndparams"] = own
            result += [[f"ndparams/{name}", own.get(name, "default")] for name in params.ndparams]
        promoted: list[Node] = []
        if params.auto_promote and fields.get("master_candidate") is False:
            promoted = membership.promoted(view.picture, without=[node.uuid])
            result += [[f"{each.name}/master_candidate", True] for each in promoted]
        if not result:
            asked = [name for name in _FLAGS if getattr(params, name) is not None]
            if not asked:
                raise Refused(WRONG_INPUT, "no change was asked for")
            return SimplePlan(result=[])
        others = (changed(each, view.now_s, master_candidate=True) for each in promoted)
        return SimplePlan(
            result=result, dry_result=result, change=Change(put=(changed(node, view.now_s, **fields), *others))
        )

    def hooks(self, params: NodeSetParamsParams, plan: SimplePlan, view: View) -> Hooks | None:
        """On the master and the node, which is told as it will be; none when nothing changes."""
        for node in plan.change.put:
            if isinstance(node, Node):
                where = hooks.with_master(view, [node.uuid])
                env = hooks.node_environment(node)
                return Hooks(path="node-modify", object_type="NODE", env=env, pre_nodes=where, post_nodes=where)
        return None


def _named(view: View, params: NodeSetParamsParams) -> Node:
    node = view.picture.node(params.node_name)
    if params.node_uuid not in (None, node.uuid):
        raise Refused(UNKNOWN, f"node {node.name} has UUID {node.uuid}, not {params.node_uuid}", name=node.name)
    return node


def _flags(params: NodeSetParamsParams, view: View, node: Node) -> dict[str, Any]:
    """The flags that differ afterwards, with what follows from them."""
    asked = {name: getattr(params, name) for name in _FLAGS if getattr(params, name) is not None}
    chosen = [name for name in _ROLES if asked.get(name)]
    if len(chosen) > 1:
        raise Refused(WRONG_INPUT, f"a node has one role at a time; {' and '.join(chosen)} were asked for")
    after = {name: getattr(node, name) for name in _FLAGS} | asked
    if chosen:
        after |= {name: name == chosen[0] for name in _ROLES}
    if not after["master_capable"]:
        if asked.get("master_candidate"):
            raise Refused(WRONG_INPUT, f"node {node.name} is not master-capable, so it cannot be a master candidate")
        after["master_candidate"] = False
    if node.uuid == view.cluster.master_node:
        _check_master(node, after)
    if not after["vm_capable"] and (busy := [*view.picture.instances_on(node.uuid)]):
        raise Refused(
            WRONG_STATE,
            f"node {node.name} has {len(busy)} instances ({busy[0].name}, ...), so it must stay vm-capable",
            node=node.name,
        )
    if node.offline and not after["offline"] and not after["powered"]:
        raise Refused(
            WRONG_STATE,
            f"node {node.name} is recorded as powered off; it must be powered to come online",
            node=node.name,
        )
    if not after["powered"] and not (after["offline"] or params.force):
        raise Refused(WRONG_STATE, f"node {node.name} is online, so it is powered", node=node.name)
    _check_candidates(params, view, node, after)
    return {name: value for name, value in after.items() if value != getattr(node, name)}


def _check_master(node: Node, after: dict[str, Any]) -> None:
    if after["offline"] or after["drained"] or not after["master_candidate"] or not after["powered"]:
        raise Refused(
            WRONG_INPUT,
            f"node {node.name} is the master: it stays a master candidate, online and not drained",
            node=node.name,
        )


def _check_candidates(params: NodeSetParamsParams, view: View, node: Node, after: dict[str, Any]) -> None:
    """A demotion may not leave fewer candidates than wanted while there are nodes that could be."""
    if not node.master_candidate or after["master_candidate"] or params.force or params.auto_promote:
        return
    others = [each for each in view.picture.nodes.values() if each.uuid != node.uuid]
    able = [each for each in others if each.master_capable and not each.offline and not each.drained]
    candidates = [each for each in able if each.master_candidate]
    wanted = min(view.cluster.candidate_pool_size, len(able))
    if len(candidates) < wanted:
        raise Refused(
            WRONG_STATE,
            f"without node {node.name} there are {len(candidates)} master candidates, and {wanted} are wanted; promote "
            "another node first (-C yes), or insist with --force",
            node=node.name,
        )

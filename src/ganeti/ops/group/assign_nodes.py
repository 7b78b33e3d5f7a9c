"""OP_GROUP_ASSIGN_NODES: nodes move to another group; mirrored instances must not come to span two."""

from __future__ import annotations

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.model.objects import Group, Instance, Node, Uuid, changed
from ganeti.ops.group import request


class GroupAssignNodesParams(request.GroupParams, frozen=True, kw_only=True, tag="OP_GROUP_ASSIGN_NODES"):
    """Spec: opcodes, OP_GROUP_ASSIGN_NODES."""

    nodes: tuple[str, ...]
    node_uuids: tuple[str, ...] | None = None
    force: bool = False


@operation
class GroupAssignNodes(ConfigOperation[GroupAssignNodesParams]):
    """Give nodes to a group."""

    params = GroupAssignNodesParams

    def locks(self, params: GroupAssignNodesParams, view: View) -> Locks:
        """The nodes, and every group that gains or loses one."""
        target, nodes = _target(view, params), _nodes(view, params)
        groups = {f"nodegroup/{uuid}" for uuid in (target.uuid, *(node.group for node in nodes))}
        return Locks(exclusive=frozenset(groups | {f"node/{node.uuid}" for node in nodes}))

    def plan(self, params: GroupAssignNodesParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses, without force, to split a mirrored instance between two groups."""
        target, nodes = _target(view, params), _nodes(view, params)
        if not nodes:
            raise Refused(WRONG_INPUT, "which nodes? None was named")
        moving = {node.uuid: target.uuid for node in nodes}
        split = _newly_split(view, moving)
        if split and not params.force:
            words = ", ".join(instance.name for instance in split[:5])
            raise Refused(
                WRONG_STATE,
                f"these mirrored instances would span two groups: {words}; move the partner nodes as well, or use --force",
            )
        return SimplePlan(
            change=Change(
                put=tuple(changed(node, view.now_s, group=target.uuid) for node in nodes if node.group != target.uuid)
            ),
            because=tuple(f"instance {instance.name} spans two groups from now on" for instance in split),
            steps=tuple(f"give node {node.name} to group {target.name}" for node in nodes),
        )


def _target(view: View, params: GroupAssignNodesParams) -> Group:
    return view.picture.group(params.group_name)


def _nodes(view: View, params: GroupAssignNodesParams) -> list[Node]:
    return [view.picture.node(name) for name in dict.fromkeys(params.nodes)]


def _newly_split(view: View, moving: dict[Uuid, Uuid]) -> list[Instance]:
    """Instances whose nodes are in one group now and in two afterwards."""
    picture = view.picture
    found = []
    for instance in picture.instances.values():
        nodes = (instance.primary_node, *instance.secondary_nodes)
        if len(nodes) < 2 or not any(node in moving for node in nodes):
            continue
        before = {picture.nodes[node].group for node in nodes}
        after = {moving.get(node, picture.nodes[node].group) for node in nodes}
        if len(before) == 1 and len(after) > 1:
            found.append(instance)
    return sorted(found, key=lambda instance: instance.name)

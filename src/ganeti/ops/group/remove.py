"""OP_GROUP_REMOVE: an empty node group goes; the last one stays."""

from __future__ import annotations

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.ops.group import request
from ganeti.ops.parts import hooks


class GroupRemoveParams(request.GroupParams, frozen=True, kw_only=True, tag="OP_GROUP_REMOVE"):
    """Spec: opcodes, OP_GROUP_REMOVE."""


@operation
class GroupRemove(ConfigOperation[GroupRemoveParams]):
    """Remove a node group."""

    params = GroupRemoveParams

    def locks(self, params: GroupRemoveParams, view: View) -> Locks:
        """All groups wait: which one is the last is asked of all. Nodes join none meanwhile."""
        every = {f"nodegroup/{uuid}" for uuid in view.picture.groups}
        return Locks(exclusive=request.locks_of(view.picture.group(params.group_name)).exclusive | every)

    def plan(self, params: GroupRemoveParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses a group with nodes, and the last one."""
        group = view.picture.group(params.group_name)
        members = sorted(node.name for node in view.picture.nodes.values() if node.group == group.uuid)
        if members:
            raise Refused(
                WRONG_STATE,
                f"node group '{group.name}' has nodes ({', '.join(members[:5])}); "
                "give them to another with 'gnt-group assign-nodes' first",
                group=group.name,
            )
        if len(view.picture.groups) == 1:
            raise Refused(WRONG_STATE, f"'{group.name}' is the only node group; a cluster needs one", group=group.name)
        return SimplePlan(change=Change(remove=(group,)), steps=(f"remove node group {group.name}",))

    def hooks(self, params: GroupRemoveParams, plan: SimplePlan, view: View) -> Hooks:
        """On the master."""
        return hooks.of_group(view, params.group_name, path="group-remove")

"""OP_GROUP_RENAME: a node group gets another name."""

from __future__ import annotations

from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.view import View
from ganeti.model.objects import changed
from ganeti.ops.group import request
from ganeti.ops.parts import hooks


class GroupRenameParams(request.GroupParams, frozen=True, kw_only=True, tag="OP_GROUP_RENAME"):
    """Spec: opcodes, OP_GROUP_RENAME."""

    new_name: str


@operation
class GroupRename(ConfigOperation[GroupRenameParams]):
    """Rename a node group. Result: the new name."""

    params = GroupRenameParams

    def locks(self, params: GroupRenameParams, view: View) -> Locks:
        """The group, and the name it shall have."""
        group = view.picture.group(params.group_name)
        return Locks(exclusive=request.locks_of(group).exclusive | {f"nodegroup/{params.new_name}"})

    def plan(self, params: GroupRenameParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses a name that is taken."""
        group = view.picture.group(params.group_name)
        name = request.checked_name(view, params.new_name)
        return SimplePlan(
            reserve=Reservation(names=frozenset({f"group {name}"})),
            change=Change(put=(changed(group, view.now_s, name=name),)),
            result=name,
            dry_result=name,
            steps=(f"rename node group {group.name} to {name}",),
        )

    def hooks(self, params: GroupRenameParams, plan: SimplePlan, view: View) -> Hooks:
        """On the master and the group's nodes."""
        (group,) = plan.change.put
        nodes = sorted(node.uuid for node in view.picture.nodes.values() if node.group == group.uuid)
        own = {"OLD_NAME": view.picture.groups[group.uuid].name, "NEW_NAME": plan.result}
        return hooks.of_group(view, plan.result, path="group-rename", own=own, nodes=nodes)

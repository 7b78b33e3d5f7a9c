"""OP_GROUP_ADD: a new, empty node group."""

from __future__ import annotations

from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.view import View
from ganeti.model.objects import Group, Uuid
from ganeti.ops.group import request
from ganeti.ops.parts import hooks


class GroupAddParams(request.GroupValues, frozen=True, kw_only=True, tag="OP_GROUP_ADD"):
    """Spec: opcodes, OP_GROUP_ADD."""


@operation
class GroupAdd(ConfigOperation[GroupAddParams]):
    """Add a node group."""

    params = GroupAddParams

    def locks(self, params: GroupAddParams, view: View) -> Locks:
        """The name, so that it is given once."""
        return Locks(exclusive=frozenset({f"nodegroup/{params.group_name}"}))

    def plan(self, params: GroupAddParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses a name that is taken, and values that are none."""
        name = request.checked_name(view, params.group_name)
        bare = Group(uuid=Uuid(ids.uuid()), name=name, ctime=view.now_s, mtime=view.now_s)
        return SimplePlan(
            reserve=Reservation(names=frozenset({f"group {name}"})),
            change=Change(put=(request.with_values(view, bare, params),)),
            steps=(f"add node group {name}",),
        )

    def hooks(self, params: GroupAddParams, plan: SimplePlan, view: View) -> Hooks:
        """On the master."""
        return hooks.of_group(view, params.group_name, path="group-add")

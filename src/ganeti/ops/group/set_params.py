"""OP_GROUP_SET_PARAMS: allocation policy, parameters and instance policy of a node group."""

from __future__ import annotations

from typing import Any

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.model import effective, policy
from ganeti.model.objects import Group, changed
from ganeti.ops.group import request
from ganeti.ops.parts import hooks

_VALUES = ("alloc_policy", "ndparams", "diskparams", "ipolicy")


class GroupSetParamsParams(request.GroupValues, frozen=True, kw_only=True, tag="OP_GROUP_SET_PARAMS"):
    """Spec: opcodes, OP_GROUP_SET_PARAMS."""


@operation
class GroupSetParams(ConfigOperation[GroupSetParamsParams]):
    """Change a node group. Result: a list of [what, new value]."""

    params = GroupSetParamsParams

    def locks(self, params: GroupSetParamsParams, view: View) -> Locks:
        """The group for itself."""
        return request.locks_of(view.picture.group(params.group_name))

    def plan(self, params: GroupSetParamsParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses a request for nothing. Instances that a new policy does not fit are told, not touched."""
        group = view.picture.group(params.group_name)
        if not any(getattr(params, name) for name in (*_VALUES, "hv_state", "disk_state")):
            raise Refused(WRONG_INPUT, "no change was asked for")
        after = request.with_values(view, group, params)
        fields = {name: getattr(after, name) for name in _VALUES if getattr(after, name) != getattr(group, name)}
        result: list[list[Any]] = [[name, value] for name, value in fields.items()]
        return SimplePlan(
            change=Change(put=(changed(group, view.now_s, **fields),)) if fields else Change(),
            result=result,
            dry_result=result,
            because=tuple(_newly_outside(view, group, after)),
        )

    def hooks(self, params: GroupSetParamsParams, plan: SimplePlan, view: View) -> Hooks:
        """On the master."""
        name = view.picture.group(params.group_name).name
        own = {"GROUP_NAME": name, "NEW_ALLOC_POLICY": params.alloc_policy}
        return hooks.of_group(view, name, path="group-modify", own=own)


def _newly_outside(view: View, before: Group, after: Group) -> list[str]:
    cluster = view.cluster
    old = policy.effective(cluster.ipolicy, before.ipolicy)
    new = policy.effective(cluster.ipolicy, after.ipolicy)
    if old == new:
        return []
    sentences = []
    for node in view.picture.nodes.values():
        if node.group != before.uuid:
            continue
        for instance in view.picture.instances_on(node.uuid):
            size = effective.size_of(cluster, instance)
            known = policy.violations(old, size)
            fresh = [words for words in policy.violations(new, size) if words not in known]
            sentences += [f"instance {instance.name} breaks the new policy: {words}" for words in fresh]
    return sorted(sentences)

"""What operations on node groups have in common: finding one, its name, and the values it may hold. Pure."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ganeti.base.errors import EXISTS, WRONG_INPUT, Refused
from ganeti.contract.operation import Locks, OpParams
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import AllocPolicy, Group, Params
from ganeti.model.params import own_values
from ganeti.ops.parts import layers


class GroupParams(OpParams, frozen=True, kw_only=True):
    """Which group, by name or UUID."""

    summary_field: ClassVar[str | None] = "group_name"

    group_name: str


class GroupValues(GroupParams, frozen=True, kw_only=True):
    """What a group can be given; what is left out stays as it is."""

    alloc_policy: AllocPolicy | None = None
    ndparams: Params | None = None
    diskparams: dict[str, Params] | None = None
    hv_state: Params | None = None
    disk_state: Params | None = None
    ipolicy: Params | None = None


def locks_of(group: Group) -> Locks:
    """The group for itself."""
    return Locks(exclusive=frozenset({f"nodegroup/{group.uuid}"}))


def checked_name(view: View, name: str) -> str:
    """A name for a group that nobody has, or `Refused`."""
    if not name or any(character.isspace() or not character.isprintable() for character in name):
        raise Refused(
            WRONG_INPUT, f"'{name}' is no name for a node group: it has no blanks and is not empty", name=name
        )
    if name in view.picture.group_names or view.reserved.name(f"group {name}"):
        raise Refused(EXISTS, f"node group '{name}' exists already", name=name)
    return name


def with_values(view: View, group: Group, asked: GroupValues) -> Group:
    """The group with what was asked for, each value checked by its declaration."""
    for name in ("hv_state", "disk_state"):
        if getattr(asked, name):
            raise Refused(WRONG_INPUT, f"{name} (declared state of nodes) is not served yet", parameter=name)
    fields: dict[str, Any] = {}
    if asked.alloc_policy is not None:
        fields["alloc_policy"] = asked.alloc_policy
    if asked.ndparams:
        where = f"node group {group.name}"
        fields["ndparams"] = own_values(effective.NODE, group.ndparams, asked.ndparams, where=where)
    if asked.diskparams:
        where = f"node group {group.name}"
        fields["diskparams"] = layers.disk_params(view, group.diskparams, asked.diskparams, where=where)
    if asked.ipolicy:
        fields["ipolicy"] = layers.instance_policy(group.ipolicy, asked.ipolicy, group=True)
    return msgspec.structs.replace(group, **fields)

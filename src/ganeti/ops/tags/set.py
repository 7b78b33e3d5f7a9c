"""OP_TAGS_SET: an object carries further tags. Those it has already are fine."""

from __future__ import annotations

from ganeti.base.ids import Ids
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.model import tags
from ganeti.model.objects import changed
from ganeti.ops.parts import tagged


class TagsSetParams(tagged.TagsParams, frozen=True, kw_only=True, tag="OP_TAGS_SET"):
    """Spec: opcodes, OP_TAGS_SET."""

    tags: tuple[str, ...]


@operation
class TagsSet(ConfigOperation[TagsSetParams]):
    """Add tags."""

    params = TagsSetParams

    def locks(self, params: TagsSetParams, view: View) -> Locks:
        """Tags of one object change one after another."""
        return tagged.locks_for_change(tagged.find(view, params))

    def plan(self, params: TagsSetParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses a tag that is none, and more than an object can carry."""
        obj = tagged.find(view, params)
        new = tags.checked((*obj.tags, *tags.checked(params.tags)))
        if new == obj.tags:
            return SimplePlan()
        return SimplePlan(change=Change(put=(changed(obj, view.now_s, tags=new),)))

"""OP_TAGS_DEL: an object carries these tags no more."""

from __future__ import annotations

from ganeti.base.errors import UNKNOWN, Refused
from ganeti.base.ids import Ids
from ganeti.contract.operation import Change, ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.model import tags
from ganeti.model.objects import changed
from ganeti.ops.parts import tagged


class TagsDelParams(tagged.TagsParams, frozen=True, kw_only=True, tag="OP_TAGS_DEL"):
    """Spec: opcodes, OP_TAGS_DEL."""

    tags: tuple[str, ...]


@operation
class TagsDel(ConfigOperation[TagsDelParams]):
    """Take tags off."""

    params = TagsDelParams

    def locks(self, params: TagsDelParams, view: View) -> Locks:
        """Tags of one object change one after another."""
        return tagged.locks_for_change(tagged.find(view, params))

    def plan(self, params: TagsDelParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Refuses (unknown_entity) when one of them is not there; then none is taken off."""
        obj = tagged.find(view, params)
        gone = tags.checked(params.tags)
        missing = [tag for tag in gone if tag not in obj.tags]
        if missing:
            raise Refused(UNKNOWN, f"Tag(s) {', '.join(repr(tag) for tag in missing)} not found", tags=missing)
        if not gone:
            return SimplePlan()
        left = tuple(tag for tag in obj.tags if tag not in gone)
        return SimplePlan(change=Change(put=(changed(obj, view.now_s, tags=left),)))

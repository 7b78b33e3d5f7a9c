"""OP_TAGS_GET: the tags of an object."""

from __future__ import annotations

from ganeti.base.ids import Ids
from ganeti.contract.operation import ConfigOperation, Locks, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.ops.parts import tagged


class TagsGetParams(tagged.TagsParams, frozen=True, kw_only=True, tag="OP_TAGS_GET"):
    """Spec: opcodes, OP_TAGS_GET."""

    use_locking: bool = False


@operation
class TagsGet(ConfigOperation[TagsGetParams]):
    """List tags. Changes nothing."""

    params = TagsGetParams

    def locks(self, params: TagsGetParams, view: View) -> Locks:
        """The object, shared, if that is wanted; one picture is consistent without."""
        obj = tagged.find(view, params)
        return Locks(shared=frozenset({tagged.lock_name(obj)} if params.use_locking else ()))

    def plan(self, params: TagsGetParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """Sorted."""
        found = list(tagged.find(view, params).tags)
        return SimplePlan(result=found, dry_result=found)

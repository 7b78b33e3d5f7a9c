"""OP_TAGS_SEARCH: the objects that carry tags which match a regular expression."""

from __future__ import annotations

import re
from typing import ClassVar

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.operation import ConfigOperation, Locks, OpParams, SimplePlan, operation
from ganeti.contract.view import View
from ganeti.ops.parts import tagged


class TagsSearchParams(OpParams, frozen=True, kw_only=True, tag="OP_TAGS_SEARCH"):
    """Spec: opcodes, OP_TAGS_SEARCH."""

    summary_field: ClassVar[str | None] = "pattern"

    pattern: str


@operation
class TagsSearch(ConfigOperation[TagsSearchParams]):
    """Rows of [path, tag]. Changes nothing."""

    params = TagsSearchParams

    def locks(self, params: TagsSearchParams, view: View) -> Locks:
        """None: one picture is consistent."""
        return Locks()

    def plan(self, params: TagsSearchParams, facts: None, view: View, ids: Ids) -> SimplePlan:
        """The pattern may match anywhere in a tag."""
        try:
            pattern = re.compile(params.pattern)
        except re.error as error:
            raise Refused(WRONG_INPUT, f"'{params.pattern}' is not a regular expression: {error}") from None
        rows = [[path, tag] for path, obj in tagged.everything(view) for tag in obj.tags if pattern.search(tag)]
        return SimplePlan(result=rows, dry_result=rows)

"""Tags: what one may look like. Spec: opcodes, OP_TAGS_SET."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ganeti.base.errors import WRONG_INPUT, Refused

MAX_LENGTH: Final = 128
MAX_PER_OBJECT: Final = 4096
_VALID: Final = re.compile(r"[\w.+*/:@-]+")


def checked(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags sorted and without repeats, or `Refused` (wrong_input) naming the first bad one."""
    result = sorted(set(tags))
    for tag in result:
        if len(tag) > MAX_LENGTH:
            raise Refused(WRONG_INPUT, f"tag '{tag[:20]}...' is longer than {MAX_LENGTH} characters", tag=tag)
        if not _VALID.fullmatch(tag):
            raise Refused(
                WRONG_INPUT,
                f"'{tag}' is not a tag: letters, digits and the characters . + * / : @ - _ make one",
                tag=tag,
            )
    if len(result) > MAX_PER_OBJECT:
        raise Refused(WRONG_INPUT, f"an object can carry {MAX_PER_OBJECT} tags, not {len(result)}")
    return tuple(result)

"""Which CPUs of the node the virtual CPUs may use: the parameter `cpu_mask` (spec: params). Pure."""

from __future__ import annotations

import re
from typing import Final

ALL: Final = "all"
Mask = frozenset[int] | None
"""CPU numbers of the node; None is all of them."""

_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_HIGHEST: Final = 65_535


def parse(text: str) -> tuple[Mask, ...]:
    """One mask for the whole guest, or one for each virtual CPU. `ValueError` with a sentence when it is neither."""
    return tuple(_mask(entry.strip(), text) for entry in text.split(":"))


def _mask(entry: str, text: str) -> Mask:
    if entry == ALL:
        return None
    wanted: set[int] = set()
    excluded: set[int] = set()
    for word in entry.split(","):
        part = word.strip()
        into = excluded if part.startswith("^") else wanted
        match = _RANGE.fullmatch(part.removeprefix("^"))
        if match is None:
            raise ValueError(f"cpu_mask '{text}': '{part}' is neither a CPU number nor a range like 0-3")
        low = int(match[1])
        high = int(match[2] or low)
        if high < low or high > _HIGHEST:
            raise ValueError(f"cpu_mask '{text}': the range '{part}' goes nowhere")
        into.update(range(low, high + 1))
    left = frozenset(wanted - excluded)
    if not left:
        raise ValueError(f"cpu_mask '{text}': the entry '{entry}' leaves no CPU")
    return left

"""Sizes, durations and byte counts: text at the edge, numbers with a unit inside."""

from __future__ import annotations

import re
from typing import Final

from ganeti.base.errors import WRONG_INPUT, Refused

_MIB_PER: Final = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([mgt])(?:i?b)?)?")
_SECONDS_PER: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_mib(text: str) -> int:
    """Read `64`, `64M`, `1.5g` or `2T` (a unit may end in `B` or `iB`) as MiB, rounding up.

    Raises `Refused` (wrong_input) for anything else, for instance a negative size.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    value = float(match[1]) * _MIB_PER[match[2] or ""] if match else -1.0
    if not 0 <= value < 2**53:
        raise Refused(
            WRONG_INPUT, f"'{text}' is not a size; write a number of MiB, or one with a suffix M, G or T", text=text
        )
    return -int(-value // 1)


def parse_duration_s(text: str) -> int:
    """Read `90`, `90s`, `5m`, `2h`, `1d` or `1w` as seconds. Raises `Refused` (wrong_input)."""
    body = text.strip().lower()
    unit = body[-1:] if body[-1:] in _SECONDS_PER else "s"
    number = body.removesuffix(unit)
    if not (number.isascii() and number.isdigit() and len(number) <= 12):
        raise Refused(WRONG_INPUT, f"'{text}' is not a duration; write for example 90s, 5m, 2h, 1d or 1w", text=text)
    return int(number) * _SECONDS_PER[unit]


def format_mib(size_mib: float) -> str:
    """The short human form of a size in MiB: `64M`, `1.5G`, `2.0T`."""
    if size_mib < 1024:
        return f"{size_mib:.0f}M"
    if size_mib < 1024 * 1024:
        return f"{size_mib / 1024:.1f}G"
    return f"{size_mib / 1024 / 1024:.1f}T"

"""Tables as scripts and people know them: columns by kind, placeholders for missing values, units. Pure."""

from __future__ import annotations

from time import localtime, strftime

from ganeti.client import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

NORMAL, UNKNOWN_FIELD, NO_DATA, UNAVAILABLE, OFFLINE = range(5)
RIGHT = ("number", "unit", "float")
_SHORT = {UNKNOWN_FIELD: "??", NO_DATA: "?", UNAVAILABLE: "-", OFFLINE: "*"}
_LONG = {UNKNOWN_FIELD: "(unknown)", NO_DATA: "(nodata)", UNAVAILABLE: "(unavail)", OFFLINE: "(offline)"}


def timestamp(value: Any) -> str:
    """Local time of seconds since the epoch: `2026-11-22 18:09:10`. None, and 0 for "never", are `N/A`."""
    if not value:
        return "N/A"
    return strftime("%Y-%m-%d %H:%M:%S", localtime(seconds(value)))


def precise(value: Any) -> str:
    """The same with microseconds."""
    if not value:
        return "N/A"
    time_s = seconds(value)
    return f"{timestamp(time_s)}.{round(time_s % 1 * 1_000_000) % 1_000_000:06d}"


def seconds(value: Any) -> float:
    """Seconds since the epoch from a number, or from a pair of seconds and microseconds."""
    if isinstance(value, list):
        return float(value[0]) + float(value[1]) / 1_000_000
    return float(value)


def size(size_mib: Any, units: str) -> str:
    """A size in MiB as `h` (best unit, with suffix) or as a number of `m`, `g` or `t`."""
    if units == "m":
        return f"{size_mib:.0f}"
    if units == "g":
        return f"{size_mib / 1024:.1f}"
    if units == "t":
        return f"{size_mib / 1024 / 1024:.1f}"
    if size_mib < 1024:
        return f"{size_mib:.0f}M"
    if size_mib < 1024 * 1024:
        return f"{size_mib / 1024:.1f}G"
    return f"{size_mib / 1024 / 1024:.1f}T"


def text(kind: str, value: Any, units: str) -> str:
    """A value of a column of that kind."""
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return "Y" if value else "N"
    if kind == "unit" and isinstance(value, (int, float)):
        return size(value, units)
    if kind == "timestamp":
        return timestamp(value)
    if isinstance(value, list):
        return ",".join([_part(item) for item in value])
    if isinstance(value, dict):
        return ", ".join([f"{key}={_part(item)}" for key, item in value.items()])
    return _scalar(value)


def _part(value: Any) -> str:
    if value is None:
        return ""
    return fastjson.dumps(value) if isinstance(value, (list, dict)) else _scalar(value)


def _scalar(value: Any) -> str:
    """A whole number reads as one, whatever its type."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def cells(
    kinds: Sequence[str], rows: Iterable[Sequence[tuple[int, Any]]], *, units: str, verbose: bool
) -> list[list[str]]:
    """The text of every value, and of every missing one."""
    missing = _LONG if verbose else _SHORT
    return [
        [
            text(kind, value, units) if status == NORMAL else missing[status]
            for kind, (status, value) in zip(kinds, row, strict=True)
        ]
        for row in rows
    ]


def lines(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[bool],
    separator: str | None,
    headers: bool,
    pad_last: bool = False,
) -> list[str]:
    """Rows as lines: aligned, or joined by `separator`. The last column is not filled up with spaces."""
    if separator is not None:
        return [separator.join(row) for row in ([titles, *rows] if headers else rows)]
    table = [titles, *rows] if headers else list(rows)
    if not table:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    if not right[-1] and not pad_last:
        widths[-1] = 0
    form = " ".join([f"%{'' if is_right else '-'}{width}s" for is_right, width in zip(right, widths, strict=True)])
    return [form % tuple(row) for row in table]

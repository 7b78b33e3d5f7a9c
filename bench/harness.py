"""How things are timed and shown: repeated and interleaved, as medians, next to a limit from the same run.

A figure alone says little on a shared machine. Each is therefore measured in turns with its limit (A B A B ...):
what slows one slows the other, and the ratio stays.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Unit = Literal["s", "/s", "MiB", "jobs"]

TITLES: Final = ("what", "figure", "limit", "ratio", "goal", "ok")


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing, in the order in which they were made."""

    values: tuple[float, ...]
    unit: Unit = "s"

    @property
    def median(self) -> float:
        """The one to believe."""
        return statistics.median(self.values)

    def of(self, limit: Sample) -> float:
        """How many times the limit: the median of the ratios of what was measured side by side."""
        if len(self.values) != len(limit.values):
            return self.median / limit.median
        return statistics.median(mine / theirs for mine, theirs in zip(self.values, limit.values, strict=True))

    def __str__(self) -> str:
        text = shown(self.median, self.unit)
        if len(self.values) == 1:
            return text
        return f"{text} ({shown(min(self.values), self.unit)} .. {shown(max(self.values), self.unit)})"


@dataclass(frozen=True)
class Goal:
    """What a figure shall be, in words, and whether it is."""

    words: str
    holds: bool


@dataclass
class Report:
    """The rows of the table, shown as they come."""

    rows: list[Sequence[str]] = field(default_factory=list)
    missed: int = 0

    def add(
        self,
        what: str,
        figure: Sample,
        *,
        limit: tuple[str, Sample] | None = None,
        goal: Goal | None = None,
    ) -> None:
        """One row. `limit`: its name and what it was in this run."""
        self.missed += goal is not None and not goal.holds
        self.rows.append(
            (
                what,
                str(figure),
                "" if limit is None else f"{limit[0]}: {shown(limit[1].median, limit[1].unit)}",
                "" if limit is None else f"{figure.of(limit[1]):.3g}",
                "" if goal is None else goal.words,
                "" if goal is None else "yes" if goal.holds else "NO",
            )
        )
        print(f"  {what}: {figure}", file=sys.stderr, flush=True)

    def table(self) -> str:
        """All rows, aligned."""
        rows = [TITLES, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [" | ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines.insert(1, "-+-".join("-" * width for width in widths))
        return "\n".join(lines)


def at_most(figure: Sample, most: float) -> Goal:
    """The figure shall not be larger."""
    return Goal(f"< {shown(most, figure.unit)}", figure.median < most)


def at_least(figure: Sample, least: float) -> Goal:
    """The figure shall not be smaller."""
    return Goal(f"> {shown(least, figure.unit)}", figure.median > least)


def within(figure: Sample, limit: Sample, times: float) -> Goal:
    """The figure shall not be more than so many times the limit."""
    return Goal(f"ratio < {times:g}", figure.of(limit) < times)


def timed(deed: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    begin_s = time.perf_counter()
    deed()
    return time.perf_counter() - begin_s


def interleaved(deeds: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Sample]:
    """Time several things in turns, after one turn that does not count; every other turn goes backwards."""
    for deed in deeds.values():
        deed()
    times: dict[str, list[float]] = {name: [] for name in deeds}
    for number in range(rounds):
        order = list(deeds.items())
        for name, deed in order if number % 2 == 0 else reversed(order):
            times[name].append(timed(deed))
    return {name: Sample(tuple(values)) for name, values in times.items()}


def rate(count: int, durations: Sample) -> Sample:
    """How many a second, when `count` took so long."""
    return Sample(tuple(count / each for each in durations.values), "/s")


def shown(value: float, unit: Unit) -> str:
    """A value with its unit, to three digits."""
    match unit:
        case "s" if value < 0.001:
            return f"{value * 1e6:.0f} us"
        case "s" if value < 1:
            return f"{value * 1e3:.3g} ms"
        case "s":
            return f"{value:.3g} s"
        case "/s":
            return f"{value:.0f}/s" if value >= 100 else f"{value:.3g}/s"
        case "MiB":
            return f"{value:.0f} MiB"
        case "jobs":
            return f"{value:.0f} jobs"

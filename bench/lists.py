"""`gnt-instance list` as a whole command, with few and many running instances."""

from __future__ import annotations

from bench.cluster import BIN
from bench.harness import Report, at_most, interleaved
from bench.limits import bare_python, ran
from bench.world import World

SIZES = (10, 1_000, 10_000)
ROUNDS = 7


def measure(world: World, report: Report) -> None:
    """The usual columns, live state of every guest among them."""
    deeds = {"python": bare_python()}
    deeds |= {str(size): ran([f"{BIN}/gnt-instance", "list"], world.cluster(size).environment) for size in SIZES}
    times = interleaved(deeds, rounds=ROUNDS)
    for size in SIZES:
        figure = times[str(size)]
        goal = at_most(figure, 0.5) if size == 10_000 else None
        report.add(
            f"gnt-instance list, {size:,} instances", figure, limit=("python -c pass", times["python"]), goal=goal
        )

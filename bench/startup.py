"""How fast a command starts: everything before and after the master's work."""

from __future__ import annotations

from bench.cluster import BIN
from bench.harness import Report, interleaved, within
from bench.limits import bare_python, ran
from bench.world import World

ROUNDS = 31


def measure(world: World, report: Report) -> None:
    """`gnt-instance list` of an empty cluster."""
    cluster = world.cluster(0)
    program = f"{BIN}/gnt-instance"
    times = interleaved(
        {
            "python": bare_python(),
            "list": ran([program, "list"], cluster.environment),
        },
        rounds=ROUNDS,
    )
    limit = ("python -c pass", times["python"])
    report.add("gnt-instance list, no instances", times["list"], limit=limit, goal=within(times["list"], limit[1], 2.5))

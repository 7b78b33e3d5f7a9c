"""What the daemons take of memory, with nothing to manage and with much."""

from __future__ import annotations

import subprocess
import sys

from bench.cluster import BIN, resident_mib
from bench.harness import Report, Sample, at_most
from bench.world import World


def measure(world: World, report: Report) -> None:
    """Resident memory after a list or two; shared libraries count for each."""
    limit = ("python", Sample((_bare_python_mib(),), "MiB"))
    for size in (0, 10_000):
        cluster = world.cluster(size)
        for _ in range(3):
            cluster.run(f"{BIN}/gnt-instance", "list")
        for daemon in ("ganeti-masterd", "ganeti-noded"):
            figure = Sample((cluster.memory_mib(daemon),), "MiB")
            goal = at_most(figure, 120) if size == 0 and daemon == "ganeti-masterd" else None
            report.add(f"memory of {daemon}, {size:,} instances", figure, limit=limit, goal=goal)


def _bare_python_mib() -> float:
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as python:
        assert python.stdout is not None
        assert python.stdin is not None
        python.stdout.readline()
        figure = resident_mib(python.pid)
        python.stdin.close()
    return figure

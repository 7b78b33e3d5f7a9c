"""`python -m bench [NAME ...] [--qemu]`: measure, and print a table of figures, limits, ratios and goals.

As root, like the cluster itself. Everything happens in a world of its own (`bench.world`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from bench import changes, creations, guests, jobs, lists, memory, startup
from bench.harness import Report
from bench.world import INSIDE, World, enter

Measure = Callable[[World, Report], None]

AREAS: Final[dict[str, Measure]] = {
    "startup": startup.measure,
    "memory": memory.measure,
    "lists": lists.measure,
    "jobs": jobs.measure,
    "changes": changes.measure,
    "creations": creations.measure,
}
QEMU_AREAS: Final[dict[str, Measure]] = {"guests": guests.measure}
"""Only by name or with --qemu: they need QEMU and take a while."""


def main() -> int:
    """The command. Exit status 0 when everything could be measured, goals reached or not."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure speed and memory.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*AREAS, *QEMU_AREAS])}; default: all")
    parser.add_argument("--qemu", action="store_true", help="start real guests too")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - {*AREAS, *QEMU_AREAS})
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    if os.geteuid() != 0:
        parser.error("it makes namespaces and daemons, and needs root")
    if INSIDE not in os.environ:
        return enter(sys.argv[1:])
    chosen = {**AREAS, **QEMU_AREAS}
    if asked.names:
        chosen = {name: measure for name, measure in chosen.items() if name in asked.names}
    elif not asked.qemu:
        chosen = AREAS
    if QEMU_AREAS.keys() & chosen.keys() and shutil.which("qemu-system-x86_64") is None:
        parser.error("there is no qemu-system-x86_64 (Debian package qemu-system-x86)")
    return _measure(chosen)


def _measure(chosen: Mapping[str, Measure]) -> int:
    begin_s = time.monotonic()
    world = World(os.environ[INSIDE])
    report = Report()
    try:
        for name, measure in chosen.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            measure(world, report)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    finally:
        if report.rows:
            print(report.table())
    load = os.getloadavg()
    print(
        f"{report.missed} goals missed; {time.monotonic() - begin_s:.0f} s on {os.cpu_count()} CPUs, "
        f"load {load[0]:.1f} in the last minute"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

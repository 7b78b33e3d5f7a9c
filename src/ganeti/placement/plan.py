"""What to do for a balanced cluster: steps as commands, put into sets of jobs that can run at the same time.

Source: spec htools, "hbal". Names in commands are the short ones: the common end of all names is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.placement.balance import Step
from ganeti.placement.moves import Kind
from ganeti.placement.state import NOWHERE
from ganeti.placement.text import Cluster

STOP_FILE = "/tmp/stop-htools"


def common_suffix(names: Sequence[str]) -> str:
    """The longest end, from a dot on, that all names share; empty if there is none."""
    if not names:
        return ""
    first, *others = names
    for index, letter in enumerate(first):
        if letter == "." and index and all(name.endswith(first[index:]) for name in others):
            return first[index:]
    return ""


def commands(cluster: Cluster, step: Step, node: str, instance: str) -> list[str]:
    """Arguments of gnt-instance, in order; `node` is the short name of the target."""
    running = cluster.instances[step.instance].status in ("running", "ERROR_up")
    move = "migrate" if running else "failover"
    failover, replace = f"{move} -f {instance}", f"replace-disks -n {node} {instance}"
    match step.kind:
        case Kind.FAILOVER:
            return [failover]
        case Kind.REPLACE_SECONDARY:
            return [replace]
        case Kind.REPLACE_AND_FAILOVER:
            return [replace, failover]
        case Kind.REPLACE_PRIMARY:
            return [failover, replace, failover]
        case Kind.FAILOVER_AND_REPLACE:
            return [failover, replace]
        case Kind.FAILOVER_TO_ANY:
            return [f"{move} -f -n {node} {instance}"]


def job_sets(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps in order, cut where one touches a node that its set touches already.

    The sets are filled from the last step backwards, so the early ones may be smaller than they could be.
    """
    sets: list[list[Step]] = []
    busy: set[int] = set()
    for step in reversed(steps):
        nodes = {*step.before, *step.after} - {NOWHERE}
        if not sets or busy & nodes:
            sets.append([])
            busy = set()
        sets[-1].append(step)
        busy |= nodes
    return [found[::-1] for found in reversed(sets)]


def script(sets: Sequence[Sequence[Step]], to_commands: dict[int, list[str]], *, checked: bool) -> str:
    """Lines of shell for all sets; `to_commands` is by position among all steps. `checked`: look for a stop file."""
    lines: list[str] = []
    position = 0
    for number, steps in enumerate(sets, 1):
        lines += ["", f"echo jobset {number}, {len(steps)} jobs"]
        for job, _ in enumerate(steps, 1):
            lines.append(f"  echo job {number}/{job}")
            if checked:
                lines.append("  check")
            lines += [f"  gnt-instance {command}" for command in to_commands[position]]
            position += 1
    return "\n".join(lines) + "\n"


SCRIPT_HEAD = f"""#!/bin/sh

# Moves that balance the cluster, in an order that works

# To stop between two jobs: touch {STOP_FILE}

set -e

check() {{
  if [ -f {STOP_FILE} ]; then
    echo 'Stop requested, exiting'
    exit 0
  fi
}}

"""

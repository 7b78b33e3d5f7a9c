"""`gnt-cluster verify-disks`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import PRIORITY, STRING, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("-g --node-group", "only this group", kind=STRING, param="group_name", metavar="GROUP"),
    Option(
        "--no-strict",
        "do not wait for those who are at work on instances",
        off=True,
        param="is_strict",
        dest="is_strict",
    ),
    PRIORITY,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster verify-disks`. Disks that should be there and are not are activated. Status 1 on any trouble."""
    results = jobs.one(session, options, jobs.op_from("OP_CLUSTER_VERIFY_DISKS", OPTIONS, options))
    result: Any = results[0] if results else None
    if not isinstance(result, dict):
        return 1
    status = 0
    for accepted, job in result["jobs"]:
        if not accepted:
            session.warn(f"Failed to submit a job: {job}")
            status = 1
            continue
        failed, outcome = jobs.ended(session, job, f"Job {job} has failed", options)
        status = max(status, failed)
        if outcome:
            status = max(status, _see_to(session, options, *outcome[0]))
    return status


def _see_to(
    session: Session,
    options: Options,
    errors: dict[str, str],
    inactive: list[str],
    missing: dict[str, list[list[str]]],
) -> int:
    for node, problem in sorted(errors.items()):
        session.warn(f"Error while gathering data on node {node}: {problem}")
    for name, lost in sorted(missing.items()):
        session.say(f"Instance {name} has missing data:")
        for node, address in lost:
            session.say(f"  node {node}: {address}")
    status = 1 if errors or missing else 0
    activations = [
        (name, [{"OP_ID": "OP_INSTANCE_ACTIVATE_DISKS", "instance_name": name}]) for name in sorted(inactive)
    ]
    if activations:
        session.say(f"Activating disks of {', '.join(sorted(inactive))}")
        status = max(status, jobs.many(session, options, activations))
    elif not status:
        session.say("No disks need to be activated.")
    return status


COMMAND = Command(
    run,
    "Look for disks that should be accessible and are not, and activate them",
    options=OPTIONS,
    examples=[("After a power failure", "gnt-cluster verify-disks")],
    op="OP_CLUSTER_VERIFY_DISKS",
)

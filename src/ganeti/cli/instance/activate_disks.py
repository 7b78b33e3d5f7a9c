"""`gnt-instance activate-disks`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import PRINT_JOBID, PRIORITY, SUBMIT, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("--ignore-size", "also disks that are not as large as they should be", param="ignore_size"),
    Option("--wait-for-sync", "wait until the mirrors of the disks are in step", param="wait_for_sync"),
    SUBMIT,
    PRINT_JOBID,
    PRIORITY,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance activate-disks NAME`. A line `node:disk/N:path` for each disk."""
    op = jobs.op_from("OP_INSTANCE_ACTIVATE_DISKS", OPTIONS, options, instance_name=arguments[0])
    results = jobs.one(session, options, op)
    for node, disk, path in (results and results[0]) or ():
        session.say(f"{node}:{disk}:{path or ''}")
    return 0


COMMAND = Command(
    run,
    "Make the disks of an instance accessible on its node, without starting it",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    examples=[("To look into them while it is down", "gnt-instance activate-disks web1.example.com")],
    op="OP_INSTANCE_ACTIVATE_DISKS",
)

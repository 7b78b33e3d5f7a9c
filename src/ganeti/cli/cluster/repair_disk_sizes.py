"""`gnt-cluster repair-disk-sizes`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import DRY_RUN, PRIORITY, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (DRY_RUN, PRIORITY)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster repair-disk-sizes [INSTANCE...]`."""
    op = jobs.op_from("OP_CLUSTER_REPAIR_DISK_SIZES", OPTIONS, options, instances=arguments)
    results = jobs.one(session, options, op)
    rows = (results and results[0]) or []
    if not rows:
        session.say("All disk sizes are as they are written down.")
    for instance, index, field, value in rows:
        session.say(f" - instance {instance}, disk {index}: {field} is {value} MiB")
    return 0


COMMAND = Command(
    run,
    "Correct what is written down about the sizes of disks",
    arguments=(Argument("INSTANCE", 0, None, complete="instance"),),
    options=OPTIONS,
    examples=[("See what is wrong", "gnt-cluster repair-disk-sizes --dry-run")],
    op="OP_CLUSTER_REPAIR_DISK_SIZES",
)

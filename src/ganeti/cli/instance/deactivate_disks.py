"""`gnt-instance deactivate-disks`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import FORCE, JOB, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (FORCE.with_changes(help="also while the instance runs", param="force"), *JOB)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance deactivate-disks NAME`."""
    jobs.one(
        session, options, jobs.op_from("OP_INSTANCE_DEACTIVATE_DISKS", OPTIONS, options, instance_name=arguments[0])
    )
    return 0


COMMAND = Command(
    run,
    "Put the disks of an instance away that were made accessible",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    examples=[("After a look into them", "gnt-instance deactivate-disks web1.example.com")],
    op="OP_INSTANCE_DEACTIVATE_DISKS",
)

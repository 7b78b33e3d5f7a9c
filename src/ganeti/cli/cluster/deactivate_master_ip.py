"""`gnt-cluster deactivate-master-ip`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster deactivate-master-ip`."""
    if not options["yes"]:
        from ganeti.cli import confirm

        if not confirm.agrees(
            session, "Who uses the address of the cluster will not reach it any more, this terminal perhaps. Go on?"
        ):
            return 1
    jobs.one(session, options, {"OP_ID": "OP_CLUSTER_DEACTIVATE_MASTER_IP"})
    return 0


COMMAND = Command(
    run,
    "Take the address of the cluster off the master's network device",
    options=(Option("--yes", "do not ask"),),
    description="It comes back with 'gnt-cluster activate-master-ip', and when the master daemon is started.",
    examples=[("Without a question", "gnt-cluster deactivate-master-ip --yes")],
    op="OP_CLUSTER_DEACTIVATE_MASTER_IP",
)

"""`gnt-cluster redist-conf`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster redist-conf`."""
    jobs.one(session, options, {"OP_ID": "OP_CLUSTER_REDIST_CONF"})
    return 0


COMMAND = Command(
    run,
    "Tell all nodes again what they must know of the cluster",
    options=JOB,
    description="That is who may call them, who is the master, and the ssconf files for scripts. The master does so by"
    " itself after every change; this is for a node whose files were changed or lost.",
    examples=[("After a file was restored from an old backup", "gnt-cluster redist-conf")],
    op="OP_CLUSTER_REDIST_CONF",
)

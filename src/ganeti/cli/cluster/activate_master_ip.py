"""`gnt-cluster activate-master-ip`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster activate-master-ip`."""
    jobs.one(session, options, {"OP_ID": "OP_CLUSTER_ACTIVATE_MASTER_IP"})
    return 0


COMMAND = Command(
    run,
    "Give the master's network device the address of the cluster",
    examples=[("It was taken away by hand", "gnt-cluster activate-master-ip")],
    op="OP_CLUSTER_ACTIVATE_MASTER_IP",
)

"""`gnt-node remove`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import DRY_RUN, PRIORITY, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node remove NODE`."""
    jobs.one(session, options, {"OP_ID": "OP_NODE_REMOVE", "node_name": arguments[0]})
    return 0


COMMAND = Command(
    run,
    "Take a node that no instance needs out of the cluster",
    arguments=(Argument("NODE", complete="node"),),
    options=(DRY_RUN, PRIORITY),
    description="The other nodes refuse its certificate from then on. If it can be reached it forgets the cluster and its"
    " node daemon ends.",
    examples=[("For good", "gnt-node remove node3.example.com")],
    op="OP_NODE_REMOVE",
)

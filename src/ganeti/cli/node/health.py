"""`gnt-node health`."""

from __future__ import annotations

from ganeti.cli import jobs, listing
from ganeti.cli.declare import PRIORITY, Argument, Command
from ganeti.cli.node.power import OOB_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (listing.NO_HEADERS, listing.SEPARATOR, OOB_TIMEOUT, PRIORITY)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node health [NODE...]`. Status 1 when a node could not be asked."""
    op = jobs.op_from("OP_OOB_COMMAND", OPTIONS, options, command="health", node_names=arguments)
    results = jobs.one(session, options, op)
    rows = (results and results[0]) or []
    columns = [{"name": "node", "title": "Node", "kind": "text"}, {"name": "status", "title": "Status", "kind": "text"}]
    shown = [
        [(0, name), (status, None if status else ",".join(f"{item}={word}" for item, word in payload))]
        for (_, name), (status, payload) in rows
    ]
    listing.show(session, options, columns, shown, {})
    return 1 if any(status != 0 for _, (status, _) in rows) else 0


COMMAND = Command(
    run,
    "Tell the health of nodes' hardware, as their out-of-band program sees it",
    arguments=(Argument("NODE", 0, None, complete="node"),),
    options=OPTIONS,
    examples=[("All nodes", "gnt-node health")],
    op="OP_OOB_COMMAND",
)

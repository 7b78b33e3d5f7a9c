"""`gnt-node power`."""

from __future__ import annotations

from ganeti.cli import jobs, listing
from ganeti.cli.declare import FLOAT, FORCE, INT, PRINT_JOBID, PRIORITY, SUBMIT, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OOB_TIMEOUT = Option(
    "--oob-timeout",
    "seconds that the program may take for each node",
    kind=INT,
    default=60,
    param="timeout",
    dest="oob_timeout",
)
OPTIONS = (
    FORCE.with_changes(help="do not ask"),
    listing.NO_HEADERS,
    listing.SEPARATOR,
    Option("--auto-promote", "promote other nodes", accepted="switching power changes no role"),
    Option("--ignore-status", "also nodes that are not marked offline", param="ignore_status"),
    OOB_TIMEOUT,
    Option("--power-delay", "seconds between nodes that are switched on", kind=FLOAT, default=2.0, param="power_delay"),
    SUBMIT,
    PRINT_JOBID,
    PRIORITY,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node power on|off|cycle|status [NODE...]`. Status 1 when it failed for a node."""
    deed, *nodes = arguments
    if deed in ("off", "cycle") and not options["force"]:
        from ganeti.cli.confirm import agrees

        whom = ", ".join(nodes) if nodes else "all nodes but the master"
        if not agrees(session, f"This takes the power from {whom}. Go on?"):
            return 1
    op = jobs.op_from("OP_OOB_COMMAND", OPTIONS, options, command=f"power-{deed}", node_names=nodes)
    results = jobs.one(session, options, op)
    if results is None:
        return 0
    rows = results[0] or []
    columns = [{"name": "node", "title": "Node", "kind": "text"}, {"name": "status", "title": "Status", "kind": "text"}]
    shown = [[(0, name), _word(deed, status, payload)] for (_, name), (status, payload) in rows]
    listing.show(session, options, columns, shown, {})
    return 1 if any(status != 0 for _, (status, _) in rows) else 0


def _word(deed: str, status: int, payload: Any) -> tuple[int, Any]:
    if status != 0:
        return status, None
    if deed != "status":
        return 0, "done"
    return 0, "powered" if payload["powered"] else "unpowered"


COMMAND = Command(
    run,
    "Switch the power of nodes, or tell whether they have it",
    arguments=(
        Argument("COMMAND", choices=("on", "off", "cycle", "status")),
        Argument("NODE", 0, None, complete="node"),
    ),
    options=OPTIONS,
    description="The master runs the program that the node parameter oob_program names, as PROGRAM COMMAND NODE. Without"
    " names all nodes are meant, but the master's power is never taken.",
    examples=[("Of a node that hangs", "gnt-node power cycle node3.example.com")],
    op="OP_OOB_COMMAND",
)

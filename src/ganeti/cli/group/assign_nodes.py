"""`gnt-group assign-nodes`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import FORCE, JOB, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (FORCE.with_changes(help="also when mirrored instances then span two groups", param="force"), *JOB)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group assign-nodes GROUP NODE...`."""
    group, *nodes = arguments
    jobs.one(session, options, jobs.op_from("OP_GROUP_ASSIGN_NODES", OPTIONS, options, group_name=group, nodes=nodes))
    return 0


COMMAND = Command(
    run,
    "Give nodes to a group",
    arguments=(Argument("GROUP", complete="group"), Argument("NODE", 1, None, complete="node")),
    options=OPTIONS,
    examples=[("Two nodes move", "gnt-group assign-nodes rack2 node3.example.com node4.example.com")],
    op="OP_GROUP_ASSIGN_NODES",
)

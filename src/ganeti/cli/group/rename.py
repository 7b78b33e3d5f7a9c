"""`gnt-group rename`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group rename OLD NEW`."""
    old, new = arguments
    jobs.one(session, options, {"OP_ID": "OP_GROUP_RENAME", "group_name": old, "new_name": new})
    return 0


COMMAND = Command(
    run,
    "Give a node group another name",
    arguments=(Argument("GROUP", complete="group"), Argument("NAME")),
    options=JOB,
    examples=[("By its place", "gnt-group rename default rack1")],
    op="OP_GROUP_RENAME",
)

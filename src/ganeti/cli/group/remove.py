"""`gnt-group remove`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group remove NAME`."""
    jobs.one(session, options, {"OP_ID": "OP_GROUP_REMOVE", "group_name": arguments[0]})
    return 0


COMMAND = Command(
    run,
    "Remove an empty node group",
    arguments=(Argument("GROUP", complete="group"),),
    options=JOB,
    examples=[("It has no nodes any more", "gnt-group remove rack2")],
    op="OP_GROUP_REMOVE",
)

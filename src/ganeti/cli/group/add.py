"""`gnt-group add`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Argument, Command
from ganeti.cli.group import options as group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group add NAME`."""
    jobs.one(session, options, group.operation("OP_GROUP_ADD", options, arguments[0]))
    return 0


COMMAND = Command(
    run,
    "Make a new, empty node group",
    arguments=(Argument("GROUP"),),
    options=group.VALUES,
    examples=[
        ("A rack", "gnt-group add rack2"),
        ("A spare one", "gnt-group add --alloc-policy last_resort spare"),
    ],
    op="OP_GROUP_ADD",
)

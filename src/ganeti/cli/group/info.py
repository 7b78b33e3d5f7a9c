"""`gnt-group info`."""

from __future__ import annotations

from ganeti.cli import output
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group info [NAME...]`."""
    return output.show(session, options, session.master.info("group", arguments))


COMMAND = Command(
    run,
    "Show all that is known of node groups",
    arguments=(Argument("GROUP", 0, None, complete="group"),),
    options=output.STRUCTURED,
    examples=[("All groups", "gnt-group info")],
)

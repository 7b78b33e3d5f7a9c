"""`gnt-node info`."""

from __future__ import annotations

from ganeti.cli import output
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node info [NAME...]`."""
    return output.show(session, options, session.master.info("node", arguments))


COMMAND = Command(
    run,
    "Show all that is known of nodes",
    arguments=(Argument("NODE", 0, None, complete="node"),),
    options=output.STRUCTURED,
    examples=[("All nodes", "gnt-node info")],
)

"""`gnt-cluster getmaster`: asks this node only, so it answers on every node and without daemons."""

from __future__ import annotations

from ganeti.cli.declare import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster getmaster`."""
    from ganeti.client.settings import own_settings

    session.say(str(own_settings(session.paths.node_settings)["master_name"]))
    return 0


COMMAND = Command(
    run,
    "Print the name of the master node",
    examples=[("Go there", 'ssh "$(gnt-cluster getmaster)"')],
    local=True,
)

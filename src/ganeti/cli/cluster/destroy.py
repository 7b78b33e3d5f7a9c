"""`gnt-cluster destroy`: end an empty cluster. Runs here."""

from __future__ import annotations

from ganeti.cli.declare import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster destroy --yes-do-it`."""
    return session.local("cluster destroy")(dict(options), arguments)


COMMAND = Command(
    run,
    "End a cluster that has no instances and no other nodes, and remove its data from this host",
    options=(Option("--yes-do-it --ya-rly", "yes, the cluster shall be gone"),),
    examples=[("It cannot be taken back", "gnt-cluster destroy --yes-do-it")],
    local=True,
)

"""`gnt-cluster master-ping`: is there a master daemon? Runs here."""

from __future__ import annotations

from ganeti.cli.declare import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster master-ping`."""
    return session.local("cluster master-ping")(dict(options), arguments)


COMMAND = Command(
    run,
    "Ask whether the master daemon answers; on the master or on a master candidate",
    examples=[("In a script", "gnt-cluster master-ping || echo 'no master'")],
    local=True,
)

"""`gnt-cluster copyfile`."""

from __future__ import annotations

from ganeti.cli.cluster.command import NODES
from ganeti.cli.declare import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster copyfile FILE`."""
    session.show()
    return session.local("cluster copyfile")(dict(options), arguments)


COMMAND = Command(
    run,
    "Copy a file of this host to the same place on the other nodes, over ssh",
    arguments=(Argument("FILE", complete="file"),),
    options=(*NODES, Option("--use-replication-network", "reach the nodes at their secondary addresses")),
    description="Root of this host must be able to reach root of the nodes by key. Mode and times of the file are kept.",
    examples=[("A new list of hosts", "gnt-cluster copyfile /etc/hosts")],
)

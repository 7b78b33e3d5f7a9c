"""`gnt-cluster master-failover`: make this node the master. Runs here."""

from __future__ import annotations

from ganeti.cli.declare import BOOL, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster master-failover`."""
    if options["no_voting"] and not options["yes_do_it"]:
        from ganeti.cli import confirm

        if not confirm.agrees(
            session,
            "Without a vote there can be two masters, if the old one only cannot be reached from here. Then both change\n"
            "the cluster, and what one of them did is lost. Are you sure that the old master is off?",
        ):
            return 1
    return session.local("cluster master-failover")(dict(options), arguments)


COMMAND = Command(
    run,
    "Make this node, a master candidate, the master",
    options=(
        Option("--no-voting", "do not ask whether most nodes agree"),
        Option("--yes-do-it", "do not ask whether --no-voting is meant"),
        Option(
            "--ignore-offline-nodes",
            "do not count nodes that are marked offline",
            kind=BOOL,
            default=True,
        ),
    ),
    description="More than half of the nodes must answer and agree; from then on they refuse the old master, also when it"
    " comes back. This node's copy of the configuration must be the newest of those that can be asked.",
    examples=[
        ("The master has burnt down; on a master candidate", "gnt-cluster master-failover"),
        ("It was the other one of two nodes", "gnt-cluster master-failover --no-voting"),
    ],
    local=True,
)

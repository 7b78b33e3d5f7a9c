"""`gnt-cluster command`."""

from __future__ import annotations

from ganeti.cli.declare import STRING, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

NODES = (
    Option("-n --node", "only this node; may be repeated", kind=STRING, repeat=True, metavar="NODE", complete="node"),
    Option("-g --node-group", "only the nodes of this group", kind=STRING, metavar="GROUP", complete="group"),
)
OPTIONS = (
    *NODES,
    Option("-M --show-machine-names", "put the name of its node before each line"),
    Option("--failure-only", "be silent about nodes where it went well"),
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster command COMMAND...`."""
    session.show()
    return session.local("cluster command")(dict(options), arguments)


COMMAND = Command(
    run,
    "Run a shell command on the nodes over ssh",
    arguments=(Argument("COMMAND", 1, None),),
    options=OPTIONS,
    description="Root of this host must be able to reach root of the nodes by key. On this host itself the command runs"
    " without ssh. Nodes marked offline are left out unless they are named. Status 1 when it failed on a node.",
    examples=[
        ("How long they have been up", "gnt-cluster command -M uptime"),
        ("Where something is wrong", "gnt-cluster command --failure-only 'systemctl is-system-running'"),
    ],
)

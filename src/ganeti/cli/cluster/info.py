"""`gnt-cluster info`."""

from __future__ import annotations

from ganeti.cli import output
from ganeti.cli.declare import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster info`."""
    return output.show(session, options, session.master.info("cluster"))


COMMAND = Command(
    run,
    "Show the settings and defaults of the cluster",
    options=(
        Option("--roman", "numbers as the Romans wrote them", refused="numbers are only printed in digits"),
        *output.STRUCTURED,
    ),
    examples=[("One setting in a script", """gnt-cluster info -o json | jq -r '."Master node"'""")],
)

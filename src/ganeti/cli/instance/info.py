"""`gnt-instance info`."""

from __future__ import annotations

from ganeti.cli import output
from ganeti.cli.declare import NO_JOB_PRIORITY, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance info NAME...`."""
    if bool(arguments) == options["all"]:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "name at least one instance, or give --all; not both")
    return output.show(session, options, session.master.info("instance", arguments, static=options["static"]))


COMMAND = Command(
    run,
    "Show all that is known of instances",
    arguments=(Argument("INSTANCE", 0, None, complete="instance"),),
    options=(
        Option("-s --static", "only what the configuration says; ask no node"),
        Option("--all", "every instance"),
        Option("--roman", "numbers as the Romans wrote them", refused="numbers are only printed in digits"),
        *output.STRUCTURED,
        NO_JOB_PRIORITY,
    ),
    examples=[
        ("One instance", "gnt-instance info web1.example.com"),
        ("Its parameters for a script", "gnt-instance info -o json web1.example.com"),
    ],
)

"""`gnt-job cancel`."""

from __future__ import annotations

from ganeti.cli.declare import Argument, Command, Option
from ganeti.cli.job import selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job cancel ID...`."""
    if options["kill"] and not options["yes_do_it"]:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "--kill ends a job in the middle of its work; add --yes-do-it if that is meant")
    kill = bool(options["kill"])
    return selection.for_each(
        session, options, arguments, "Cancel these jobs?", lambda number: session.master.cancel(number, kill=kill)
    )


COMMAND = Command(
    run,
    "Cancel jobs that have not begun",
    arguments=(Argument("JOBID", 0, None, complete="job"),),
    options=(
        *selection.OPTIONS,
        Option("--kill", "end a job that runs; what it did is undone"),
        Option("--yes-do-it --ya-rly", "yes, end it in the middle of its work"),
    ),
    examples=[
        ("One job", "gnt-job cancel 30"),
        ("All that wait, without a question", "gnt-job cancel --pending --force"),
    ],
)

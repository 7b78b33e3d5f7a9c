"""`gnt-job change-priority`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import PRIORITY, Argument, Command
from ganeti.cli.job import selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job change-priority --priority=P ID...`."""
    if options["priority"] is None:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "--priority says which one: low, normal or high")
    priority = jobs.PRIORITIES[options["priority"]]
    question = f"Change the priority of these jobs to {options['priority']}?"
    return selection.for_each(
        session, options, arguments, question, lambda number: session.master.set_priority(number, priority)
    )


COMMAND = Command(
    run,
    "Make jobs that wait more or less urgent",
    arguments=(Argument("JOBID", 0, None, complete="job"),),
    options=(PRIORITY, *selection.OPTIONS),
    examples=[("Let one go first", "gnt-job change-priority --priority=high 30")],
)

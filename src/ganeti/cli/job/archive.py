"""`gnt-job archive`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job archive ID...`. Says something only of what was not possible."""
    from ganeti.base.errors import Refused

    status = 0
    for number in [jobs.job_id(argument) for argument in arguments]:
        try:
            done, message = session.master.archive(number)
        except Refused as error:
            done, message = False, error.message
        if not done:
            session.warn(message)
            status = 1
    return status


COMMAND = Command(
    run,
    "Put jobs that have ended into the archive",
    arguments=(Argument("JOBID", 1, None, complete="job"),),
    examples=[("Two of them", "gnt-job archive 30 31")],
)

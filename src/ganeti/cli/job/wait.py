"""`gnt-job wait`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job wait ID`: says nothing unless the job fails."""
    number = jobs.job_id(arguments[0])
    return jobs.ended(session, number, f"Job {number} failed", options, quiet=True)[0]


COMMAND = Command(
    run,
    "Wait until a job ends; the exit status tells how",
    arguments=(Argument("JOBID", complete="job"),),
    examples=[("In a script", "gnt-job wait 37 && echo done")],
)

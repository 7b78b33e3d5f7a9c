"""`gnt-job watch`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job watch ID`: its log from the beginning, until it ends."""
    number = jobs.job_id(arguments[0])
    title = f"Output from job {number} follows"
    session.say(title)
    session.say("-" * len(title))
    return jobs.ended(session, number, f"Job {number} failed", options)[0]


COMMAND = Command(
    run,
    "Show the log of a job as it grows, until the job ends",
    arguments=(Argument("JOBID", complete="job"),),
    examples=[("Come back to a job that was submitted", "gnt-job watch 37")],
)

"""`gnt-job autoarchive`."""

from __future__ import annotations

from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job autoarchive AGE|all`."""
    from ganeti.base.units import parse_duration_s

    age_s = None if arguments[0] == "all" else parse_duration_s(arguments[0])
    archived, left = session.master.autoarchive(age_s)
    session.say(f"Archived {archived} jobs, {left} unchecked left")
    return 0


COMMAND = Command(
    run,
    "Put all jobs into the archive that ended some time ago",
    arguments=(Argument("AGE|all"),),
    description="AGE is in seconds, or with a suffix: 30m, 12h, 1d, 4w.",
    examples=[("What ended over a day ago", "gnt-job autoarchive 1d")],
)

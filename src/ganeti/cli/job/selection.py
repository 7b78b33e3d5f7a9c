"""Which jobs a command means: numbers, or all that wait. Many at once are shown and asked about first."""

from __future__ import annotations

from ganeti.cli import jobs, table
from ganeti.cli.declare import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

    Deed = Callable[[int], "tuple[bool, str]"]

DECLINED = 13
_STATES = {"pending": ("queued", "waiting", "canceling"), "queued": ("queued",), "waiting": ("waiting",)}

OPTIONS = (
    Option("--pending", "all jobs that have not begun: queued, waiting for locks, or being canceled"),
    Option("--queued", "all jobs that are queued"),
    Option("--waiting", "all jobs that wait for locks"),
    Option("-f --force", "do not ask"),
)


def for_each(session: Session, options: Options, arguments: list[str], question: str, deed: Deed) -> int:
    """Do something with each chosen job, say what came of it, and return 1 if one was not possible."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    modes = [name for name in _STATES if options[name]]
    if len(modes) + bool(arguments) != 1:
        raise Refused(WRONG_INPUT, "give either job numbers, or one of --pending, --queued and --waiting")
    if modes:
        found = _in_states(session, _STATES[modes[0]])
        if found and not (options["force"] or _agreed(session, found, question)):
            return DECLINED
        chosen = [row[0] for row in found]
    else:
        chosen = [jobs.job_id(argument) for argument in arguments]
    status = 0
    for number in chosen:
        try:
            done, message = deed(number)
        except Refused as error:
            done, message = False, error.message
        session.say(message)
        status = status if done else 1
    return status


def _in_states(session: Session, states: tuple[str, ...]) -> list[list[Any]]:
    qfilter = ["|", *(["=", "status", state] for state in states)]
    return session.master.values("job", ["id", "status", "summary"], qfilter=qfilter)


def _agreed(session: Session, found: list[list[Any]], question: str) -> bool:
    from ganeti.cli.confirm import agrees

    rows = [[table.text("other", value, "m") for value in row] for row in found]
    right = [True, False, False]
    for line in table.lines(["ID", "Status", "Summary"], rows, right=right, separator=None, headers=True):
        session.say(line)
    return agrees(session, question)

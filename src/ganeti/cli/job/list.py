"""`gnt-job list`."""

from __future__ import annotations

from ganeti.cli import listing
from ganeti.cli.declare import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

STATES = {
    "pending": ("queued", "waiting", "canceling"),
    "running": ("running",),
    "error": ("error",),
    "finished": ("success",),
}


def select(session: Session, options: Options, arguments: list[str]) -> dict[str, Any]:
    """Further options as arguments of a query. The archive is only read when a filter speaks of it."""
    states = [state for name, states in STATES.items() if options[name] for state in states]
    if not states and not options["archived"]:
        return {"arguments": arguments, "force_filter": options["filter"]}
    from ganeti.base.errors import WRONG_INPUT, Refused
    from ganeti.cli.jobs import job_id

    if options["filter"] or not all(word.isdigit() for word in arguments):
        raise Refused(
            WRONG_INPUT,
            "--pending, --running, --error, --finished and --archived cannot go with a filter;"
            ' write in the filter what they mean, for example: status == "running"',
        )
    parts: list[Any] = []
    if states:
        parts.append(["|", *(["=", "status", state] for state in states)])
    if arguments:
        parts.append(["|", *(["=", "id", job_id(word)] for word in arguments)])
    if options["archived"]:
        parts.append(["|", ["?", "archived"], ["!", ["?", "archived"]]])
    return {"qfilter": parts[0] if len(parts) == 1 else ["&", *parts]}


COMMAND = listing.list_command(
    "job",
    "List jobs and their state",
    "id,status,summary",
    name="JOBID",
    more=(
        Option("--pending", "only jobs that wait: queued, waiting for locks, or being canceled"),
        Option("--running", "only jobs that run"),
        Option("--error", "only jobs that failed"),
        Option("--finished", "only jobs that succeeded"),
        Option("--archived", "also jobs that were archived"),
    ),
    select=select,
    kinds={"received_ts": "timestamp", "start_ts": "timestamp", "end_ts": "timestamp"},
    examples=[
        ("All jobs that are not archived", "gnt-job list"),
        ("What waits, and since when", "gnt-job list --pending -o +received_ts"),
    ],
)

"""`gnt-debug locks`."""

from __future__ import annotations

from ganeti.cli import listing
from ganeti.cli.declare import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

FIELDS = {"name": "Name", "mode": "Mode", "owner": "Owner", "pending": "Pending"}


def cells(lock: dict[str, Any], fields: list[str]) -> list[tuple[int, Any]]:
    """A lock as a row: free ones have no mode and no owner; who waits is shown as `mode:job,job`."""
    waiting = [f"{mode}:{','.join(map(str, jobs))}" for mode, jobs in lock["pending"]]
    values = {"name": lock["name"], "mode": lock["mode"], "owner": lock["owner"], "pending": waiting}
    return [((0, values[f]) if values[f] else (3, None)) if f in FIELDS else (1, None) for f in fields]


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-debug locks`, once or every so many seconds."""
    fields = listing.chosen_fields(options["output"], ",".join(FIELDS))
    columns = [
        {"name": name, "title": FIELDS.get(name, name), "kind": "other" if name in FIELDS else "unknown"}
        for name in fields
    ]
    interval_s = options["interval"]
    if interval_s is not None and interval_s < 1:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "--interval is at least one second")
    while True:
        rows = [cells(lock, fields) for lock in session.master.locks()]
        status = listing.show(session, options, columns, rows, {})
        if interval_s is None:
            return status
        from time import sleep

        session.say("")
        session.show()
        sleep(interval_s)


COMMAND = Command(
    run,
    "Show which job holds which lock, and who waits for it",
    options=(*listing.TABLE, Option("--interval", "again every so many seconds", kind="int", metavar="SECONDS")),
    examples=[("Watch them", "gnt-debug locks --interval=2")],
)

"""`gnt-os list`."""

from __future__ import annotations

from ganeti.cli import listing
from ganeti.cli.declare import NO_JOB_PRIORITY, Command
from ganeti.cli.output import STRUCTURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def names_of(system: dict[str, Any]) -> list[str]:
    """What -o takes: the name, or with variants each of them as NAME+VARIANT."""
    return [f"{system['name']}+{variant}" for variant in system["variants"]] or [system["name"]]


def installable(session: Session) -> list[str]:
    """All that can be installed: valid on every node, and not hidden."""
    systems = session.master.info("os")
    usable = [each for each in systems if each["valid"] and not each["hidden"] and not each["blacklisted"]]
    return [name for system in usable for name in names_of(system)]


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-os list`."""
    columns = [{"name": "name", "title": "Name", "kind": "text"}]
    rows = [[(0, name)] for name in installable(session)]
    return listing.show(session, options, columns, rows, {}, pad_last=True)


COMMAND = Command(
    run,
    "List the operating systems that can be installed, with their variants",
    options=(
        listing.NO_HEADERS,
        *STRUCTURED,
        NO_JOB_PRIORITY,
    ),
    examples=[("Names only", "gnt-os list --no-headers")],
)

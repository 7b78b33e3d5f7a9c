"""`gnt-cluster version`: what is installed here; asks nobody."""

from __future__ import annotations

from ganeti.cli.declare import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster version`."""
    from ganeti.base import version

    software = version.software()
    session.say(f"Software version: {software}")
    session.say(f"Internode protocol: {version.PROTOCOL}")
    session.say(f"Configuration format: {version.CONFIG}")
    session.say(f"OS api version: {max(version.OS_API)}")
    session.say(f"Export interface: {version.EXPORT}")
    session.say(f"VCS version: (ganeti) version {software}")
    return 0


COMMAND = Command(
    run,
    "Print the versions of the software and of its interfaces",
    examples=[("What is installed", "gnt-cluster version")],
    local=True,
)

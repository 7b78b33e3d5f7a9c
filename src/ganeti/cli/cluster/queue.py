"""`gnt-cluster queue`."""

from __future__ import annotations

from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster queue drain|undrain|info`."""
    match arguments[0]:
        case "info":
            drained = session.master.drained(None)
            session.say(f"The drain flag is {'set' if drained else 'unset'}")
        case "drain":
            session.master.drained(True)
        case "undrain":
            session.master.drained(False)
        case other:
            raise AssertionError(f"'{other}' is not declared")
    return 0


COMMAND = Command(
    run,
    "Let the queue take no new jobs (drain), take them again (undrain), or tell (info)",
    arguments=(Argument("COMMAND", choices=("drain", "undrain", "info")),),
    examples=[("Before maintenance", "gnt-cluster queue drain")],
)

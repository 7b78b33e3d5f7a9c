"""`gnt-cluster watcher`."""

from __future__ import annotations

from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster watcher pause DURATION|continue|info`."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    deed, *rest = arguments
    if (deed == "pause") != bool(rest):
        raise Refused(
            WRONG_INPUT,
            f"'{deed}' takes no duration" if rest else "for how long? Write for example: gnt-cluster watcher pause 1h",
        )
    match deed:
        case "pause":
            from ganeti.base.units import parse_duration_s

            until_s = session.now_ns() / 1e9 + parse_duration_s(rest[0])
            session.master.pause_watcher(until_s)
            session.say(f"The watcher is paused until {_time(until_s)}.")
        case "continue":
            session.master.pause_watcher(None)
            session.say("The watcher is no longer paused.")
        case "info":
            paused_until_s = session.master.watcher_paused_until_s()
            if paused_until_s is None:
                session.say("The watcher is not paused.")
            else:
                session.say(f"The watcher is paused until {_time(paused_until_s)}.")
        case other:
            raise AssertionError(f"'{other}' is not declared")
    return 0


def _time(at_s: float) -> str:
    from time import ctime

    return ctime(at_s)


COMMAND = Command(
    run,
    "Let the watcher rest for some time (pause), work again (continue), or tell (info)",
    arguments=(Argument("COMMAND", choices=("pause", "continue", "info")), Argument("DURATION", 0, 1)),
    description="A watcher that rests restarts no instances. DURATION is in seconds, or with a suffix: 30m, 1h, 4h, 1d.",
    examples=[("Before an hour of maintenance", "gnt-cluster watcher pause 1h")],
)

"""`gnt-instance console`."""

from __future__ import annotations

from ganeti.cli.declare import NO_JOB_PRIORITY, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def argv_of(console: dict[str, Any], here: str) -> list[str]:
    """The program that shows a console of kind `ssh`: the command itself on its own host, through ssh elsewhere."""
    import shlex

    command = list(console["command"])
    if console["host"] in (None, "", "localhost", here):
        return command
    user = f"{console['user']}@" if console.get("user") else ""
    return ["ssh", "-t", "-o", "EscapeChar=none", f"{user}{console['host']}", shlex.join(command)]


def describe(console: dict[str, Any]) -> str:
    """What to tell of a console that no program on this terminal can show."""
    if console["kind"] == "msg":
        return str(console["message"])
    shown = f" (display {console['display']})" if console.get("display") is not None else ""
    return (
        f"Instance {console['instance']} has its {console['kind'].upper()} console"
        f" at {console['kind']}://{console['host']}:{console['port']}/{shown}"
    )


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance console NAME`."""
    from ganeti.client.settings import own_settings

    console = session.master.console(arguments[0])
    if console["kind"] != "ssh":
        session.say(describe(console))
        return 0
    argv = argv_of(console, own_settings(session.paths.node_settings)["node_name"])
    if options["show_cmd"]:
        import shlex

        session.say(shlex.join(argv))
        return 0
    session.show()
    status = session.run_program(argv)
    if status:
        hint = "" if session.out_is_terminal else " (it needs a terminal; --show-cmd prints the command for scripts)"
        session.warn(f"The console of {arguments[0]} ended with exit status {status}: {' '.join(argv)}{hint}")
        return 1
    return 0


COMMAND = Command(
    run,
    "Show the console of an instance",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=(Option("--show-cmd", "only print the command that shows it"), NO_JOB_PRIORITY),
    examples=[("How to reach the console from a script", "gnt-instance console --show-cmd web1.example.com")],
)

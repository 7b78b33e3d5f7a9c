"""`gnt-instance reinstall`."""

from __future__ import annotations

from ganeti.cli import jobs, selectors
from ganeti.cli.declare import FORCE, JOB, Command, Option
from ganeti.cli.instance.add import FORCE_VARIANT, INSTALL_TIMEOUT, OS_PARAMETERS, OS_PRIVATE, OS_SECRET, OS_TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    FORCE.with_changes(help="do not ask"),
    OS_TYPE,
    Option("--select-os", "choose the operating system from a list"),
    FORCE_VARIANT,
    INSTALL_TIMEOUT,
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
    *selectors.OPTIONS,
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance reinstall NAME...`."""
    from ganeti.cli.confirm import agrees_to_all

    mode, names = selectors.chosen(session, options, arguments)
    op = jobs.op_from("OP_INSTANCE_REINSTALL", OPTIONS, options)
    if options["select_os"]:
        chosen = _choose(session)
        if chosen is None:
            return 1
        op["os_type"] = chosen
    sure = options["dry_run"] or (options["force"] and (len(names) == 1 or options["force_multiple"]))
    if not sure and not (options["force"] and selectors.confirmed(session, options, mode, names, "reinstall")):
        session.say("Reinstalling an instance destroys everything on its disks.")
        if not agrees_to_all(session, names, "instances", "reinstall"):
            return 1
    return jobs.many(session, options, [(name, [{**op, "instance_name": name}]) for name in names])


def _choose(session: Session) -> str | None:
    """Let the user pick a number; None when there is nobody, or no such number."""
    from ganeti.cli.confirm import ask
    from ganeti.cli.os.list import installable

    names = installable(session)
    for number, name in enumerate(names):
        session.say(f"{number:3}: {name}")
    answer = ask(session, "Number of the operating system: ")
    if answer is None or not answer.strip().isdigit() or int(answer) >= len(names):
        session.warn("No operating system was chosen")
        return None
    return names[int(answer)]


COMMAND = Command(
    run,
    "Install the operating system of instances anew; they must be down",
    arguments=selectors.ARGUMENTS,
    options=OPTIONS,
    examples=[("With another operating system", "gnt-instance reinstall -o tiny web1.example.com")],
    op="OP_INSTANCE_REINSTALL",
)

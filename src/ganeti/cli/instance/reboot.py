"""`gnt-instance reboot`."""

from __future__ import annotations

from ganeti.cli import jobs, selectors
from ganeti.cli.declare import JOB, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option(
        "-t --type",
        "soft: the hypervisor does it; hard: the instance is stopped and started; full: its disks too",
        choices=("hard", "full", "soft"),
        default="hard",
    ),
    *selectors.OPTIONS,
    Option("--ignore-secondaries", "errors of the secondary node do not matter", param="ignore_secondaries"),
    Option(
        "--shutdown-timeout",
        "seconds until the instance is ended by force",
        kind="int",
        default=120,
        param="shutdown_timeout",
    ),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance reboot NAME...`."""
    mode, names = selectors.chosen(session, options, arguments)
    if not selectors.confirmed(session, options, mode, names, "reboot"):
        return 1
    op = jobs.op_from("OP_INSTANCE_REBOOT", OPTIONS, options, reboot_type=options["type"])
    return jobs.many(session, options, [(name, [{**op, "instance_name": name}]) for name in names])


COMMAND = Command(
    run,
    "Reboot instances",
    arguments=selectors.ARGUMENTS,
    options=OPTIONS,
    examples=[("Stop and start it, so that new parameters count", "gnt-instance reboot web1.example.com")],
    op="OP_INSTANCE_REBOOT",
)

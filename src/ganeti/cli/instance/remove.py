"""`gnt-instance remove`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("-f --force", "do not ask"),
    Option(
        "--shutdown-timeout",
        "seconds until the instance is ended by force",
        kind="int",
        default=120,
        param="shutdown_timeout",
    ),
    Option("--ignore-failures", "go on when something fails: forget the instance in any case", param="ignore_failures"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance remove NAME`."""
    name = arguments[0]
    if not (options["force"] or options["dry_run"]):
        from ganeti.cli.confirm import agrees

        if not agrees(session, f"This removes instance {name} and everything on its disks. Continue?"):
            return 1
    jobs.one(session, options, jobs.op_from("OP_INSTANCE_REMOVE", OPTIONS, options, instance_name=name))
    return 0


COMMAND = Command(
    run,
    "Stop an instance and remove it with its disks",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    examples=[("Without a question", "gnt-instance remove -f web1.example.com")],
    op="OP_INSTANCE_REMOVE",
)

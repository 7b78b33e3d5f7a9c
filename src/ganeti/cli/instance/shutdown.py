"""`gnt-instance shutdown`."""

from __future__ import annotations

from ganeti.cli import jobs, selectors
from ganeti.cli.declare import FORCE, JOB, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    FORCE.with_changes(param="force"),
    *selectors.OPTIONS,
    Option("--timeout", "seconds until the instance is ended by force", kind="int", default=120, param="timeout"),
    Option(
        "--ignore-offline",
        "if the primary node is offline, only note that the instance shall be down",
        param="ignore_offline_nodes",
    ),
    Option("--no-remember", "do not note that the instance shall be down", param="no_remember"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance shutdown NAME...`."""
    mode, names = selectors.chosen(session, options, arguments)
    if not selectors.confirmed(session, options, mode, names, "shutdown"):
        return 1
    op = jobs.op_from("OP_INSTANCE_SHUTDOWN", OPTIONS, options)
    return jobs.many(session, options, [(name, [{**op, "instance_name": name}]) for name in names])


COMMAND = Command(
    run,
    "Stop instances: they are asked to, and ended by force when they take too long",
    arguments=selectors.ARGUMENTS,
    options=OPTIONS,
    examples=[
        ("Give it ten minutes", "gnt-instance shutdown --timeout=600 db1.example.com"),
        ("Do not wait for the end", "gnt-instance shutdown --submit web1.example.com"),
    ],
    op="OP_INSTANCE_SHUTDOWN",
)

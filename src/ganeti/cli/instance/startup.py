"""`gnt-instance startup`."""

from __future__ import annotations

from ganeti.cli import jobs, selectors
from ganeti.cli.declare import FORCE, JOB, Command, Option
from ganeti.cli.instance.add import BACKEND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    FORCE.with_changes(param="force"),
    *selectors.OPTIONS,
    Option("-H --hypervisor-parameters", "hypervisor parameters for this run only", kind="keyval", param="hvparams"),
    BACKEND.with_changes(help="memory, processors and the like for this run only"),
    Option(
        "--ignore-offline",
        "if the primary node is offline, only note that the instance shall be up",
        param="ignore_offline_nodes",
    ),
    Option("--no-remember", "do not note that the instance shall be up", param="no_remember"),
    Option("--paused", "start it frozen", param="startup_paused"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance startup NAME...`."""
    mode, names = selectors.chosen(session, options, arguments)
    if not selectors.confirmed(session, options, mode, names, "startup"):
        return 1
    op = jobs.op_from("OP_INSTANCE_STARTUP", OPTIONS, options)
    return jobs.many(session, options, [(name, [{**op, "instance_name": name}]) for name in names])


COMMAND = Command(
    run,
    "Start instances",
    arguments=selectors.ARGUMENTS,
    options=OPTIONS,
    examples=[
        ("One instance", "gnt-instance startup web1.example.com"),
        (
            "All instances of a node, without a question",
            "gnt-instance startup --primary --force-multiple node1.example.com",
        ),
    ],
    op="OP_INSTANCE_STARTUP",
)

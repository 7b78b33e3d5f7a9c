"""`gnt-instance failover`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, STRING, Argument, Command, Option
from ganeti.cli.instance.add import IALLOCATOR, IGNORE_IPOLICY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

TARGET = Option(
    "-n --target-node",
    "the node it goes to; else the one with most free memory",
    kind=STRING,
    param="target_node",
    complete="node",
)
CLEANUP = Option(
    "--cleanup", "find out where it runs after a move that broke off, and mend what is left", param="cleanup"
)
IGNORE_CONSISTENCY = Option(
    "--ignore-consistency",
    "go on although the present node does not answer: only when its host is really dead",
    param="ignore_consistency",
)
TIMEOUT = Option(
    "--shutdown-timeout",
    "seconds until the instance is ended by force",
    kind="int",
    default=120,
    param="shutdown_timeout",
)
OPTIONS = (
    Option("-f --force", "do not ask"),
    IGNORE_CONSISTENCY,
    TIMEOUT,
    TARGET,
    IALLOCATOR,
    IGNORE_IPOLICY,
    CLEANUP,
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance failover NAME`."""
    name = arguments[0]
    if not (options["force"] or options["dry_run"] or options["cleanup"]):
        from ganeti.cli.confirm import agrees

        if not agrees(session, f"Instance {name} will be stopped, and started on another node. Continue?"):
            return 1
    jobs.one(session, options, jobs.op_from("OP_INSTANCE_FAILOVER", OPTIONS, options, instance_name=name))
    return 0


COMMAND = Command(
    run,
    "Stop an instance and start it on another node that sees its data",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    examples=[
        ("To a node of your choice", "gnt-instance failover -f -n node2.example.com web1.example.com"),
        ("Show where it would go, and why", "gnt-instance failover --dry-run web1.example.com"),
    ],
    op="OP_INSTANCE_FAILOVER",
)

"""`gnt-instance migrate`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command, Option
from ganeti.cli.instance.add import IALLOCATOR, IGNORE_IPOLICY
from ganeti.cli.instance.failover import CLEANUP, TARGET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

MODES = (
    Option("--non-live", "stop the instance while its memory is sent", off=True, dest="live"),
    Option("--migration-mode", "live, or non-live as --non-live", choices=("non-live", "live"), param="mode"),
)
RUNTIME_CHANGES = Option(
    "--no-runtime-changes",
    "do not take memory from the instance to make it fit",
    off=True,
    param="allow_runtime_changes",
)
OPTIONS = (
    Option("-f --force", "do not ask"),
    *MODES,
    TARGET,
    IALLOCATOR,
    CLEANUP,
    Option("--allow-failover", "fail over when it does not run", param="allow_failover"),
    IGNORE_IPOLICY,
    Option("--ignore-hvversions", "also to an older version of the hypervisor", param="ignore_hvversions"),
    RUNTIME_CHANGES,
    *JOB,
)


def mode_of(options: Options) -> dict[str, Any]:
    """The parameter `mode`, when one was asked for. Raises `Refused` for two that contradict one another."""
    if options["live"]:
        return {}
    if options["migration_mode"] == "live":
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "--non-live and --migration-mode=live cannot go together")
    return {"mode": "non-live"}


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance migrate NAME`."""
    name = arguments[0]
    more = mode_of(options)
    if not (options["force"] or options["dry_run"]):
        from ganeti.cli.confirm import agrees

        question = f"Instance {name} will be moved to another node while it runs. Continue?"
        if options["cleanup"]:
            question = (
                f"What is left of a migration of {name} will be mended: copies that do not run are removed. Continue?"
            )
        if not agrees(session, question):
            return 1
    op = jobs.op_from("OP_INSTANCE_MIGRATE", OPTIONS, options, instance_name=name, **more)
    jobs.one(session, options, op)
    return 0


COMMAND = Command(
    run,
    "Move an instance to another node while it runs",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    description="Disks that only the present node has are copied to the other one while the instance runs. Everything"
    " goes over TLS with the certificates of the two nodes. Speed, longest pause and further abilities come from the"
    " hypervisor parameters migration_bandwidth, migration_downtime and migration_caps (postcopy-ram among them).",
    examples=[
        (
            "To a node of your choice, without a question",
            "gnt-instance migrate -f -n node2.example.com web1.example.com",
        ),
        ("After both nodes failed on the way", "gnt-instance migrate --cleanup web1.example.com"),
    ],
    op="OP_INSTANCE_MIGRATE",
)

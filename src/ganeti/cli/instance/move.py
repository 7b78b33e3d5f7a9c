"""`gnt-instance move`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, STRING, Argument, Command, Option
from ganeti.cli.instance.add import IGNORE_IPOLICY
from ganeti.cli.instance.failover import IGNORE_CONSISTENCY, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("-f --force", "do not ask"),
    Option("-n --node", "the node it goes to", kind=STRING, param="target_node", complete="node"),
    Option("--compress", "how the copy is compressed on its way: none", kind=STRING, default="none", param="compress"),
    TIMEOUT,
    IGNORE_CONSISTENCY.with_changes(
        help="has no meaning for disks that only one node has", accepted="there is no mirror"
    ),
    IGNORE_IPOLICY,
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance move NAME`."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    name = arguments[0]
    op = jobs.op_from("OP_INSTANCE_MOVE", OPTIONS, options, instance_name=name)
    is_asked = not (options["force"] or options["dry_run"])
    if not options["node"]:
        raise Refused(WRONG_INPUT, "say to which node the instance goes (-n)")
    if is_asked:
        from ganeti.cli.confirm import agrees

        question = f"Instance {name} will be stopped while its disks are copied to {options['node']}. Continue?"
        if not agrees(session, question):
            return 1
    jobs.one(session, options, op)
    return 0


COMMAND = Command(
    run,
    "Stop an instance, copy its disks to another node and start it there",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    examples=[("Without a question", "gnt-instance move -f -n node2.example.com web1.example.com")],
    op="OP_INSTANCE_MOVE",
)

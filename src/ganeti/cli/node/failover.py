"""`gnt-node failover`: every instance of a node starts elsewhere, each in a job of its own."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import PRIORITY, Argument, Command, Option
from ganeti.cli.instance.add import IALLOCATOR
from ganeti.cli.instance.failover import IGNORE_CONSISTENCY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (Option("-f --force", "do not ask"), IGNORE_CONSISTENCY, IALLOCATOR, PRIORITY)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node failover NODE`."""
    (row,) = session.master.values("node", ["name", "pinst_list"], arguments=[arguments[0]])
    node, instances = row
    if not instances:
        session.say(f"No primary instances on node {node}, nothing to do")
        return 0
    if not options["force"]:
        from ganeti.cli.confirm import agrees_to_all

        if not agrees_to_all(session, sorted(instances), "instances", "failover"):
            return 1
    op = jobs.op_from("OP_INSTANCE_FAILOVER", OPTIONS, options)
    return jobs.many(session, options, [(name, [{**op, "instance_name": name}]) for name in sorted(instances)])


COMMAND = Command(
    run,
    "Stop all instances of a node, if it still lives, and start them on others",
    arguments=(Argument("NODE", complete="node"),),
    options=OPTIONS,
    examples=[("After its host has died and was marked offline", "gnt-node failover -f node1.example.com")],
    op="OP_INSTANCE_FAILOVER",
)

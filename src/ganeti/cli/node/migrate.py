"""`gnt-node migrate`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import PRIORITY, Argument, Command, Option
from ganeti.cli.instance.add import IALLOCATOR, IGNORE_IPOLICY
from ganeti.cli.instance.failover import TARGET
from ganeti.cli.instance.migrate import MODES, RUNTIME_CHANGES, mode_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

DECLINED = 13
OPTIONS = (
    Option("-f --force", "do not ask"),
    *MODES,
    TARGET.with_changes(help="the node they go to; else each to the one with most free memory"),
    IALLOCATOR,
    PRIORITY,
    IGNORE_IPOLICY,
    RUNTIME_CHANGES,
    *jobs.SUBMIT_ONLY,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node migrate NODE`."""
    node = arguments[0]
    more = mode_of(options)
    (row,) = session.master.values("node", ["name", "pinst_list"], arguments=[node])
    name, instances = row
    if not instances:
        session.say(f"No primary instances on node {name}, nothing to do")
        return 0
    if not options["force"]:
        from ganeti.cli.confirm import agrees_to_all

        if not agrees_to_all(session, sorted(instances), "instances", "migration"):
            return DECLINED
    results = jobs.one(session, options, jobs.op_from("OP_NODE_MIGRATE", OPTIONS, options, node_name=name, **more))
    if results is None:
        return 0
    submitted = [int(job) for accepted, job in (results[0] or {}).get("jobs", ()) if accepted]
    status = 0
    for job in submitted:
        session.say(f"Waiting for job {job} ...")
        status = max(status, jobs.ended(session, job, f"Job {job} has failed", options)[0])
    return status


COMMAND = Command(
    run,
    "Move all instances away from a node while they run",
    arguments=(Argument("NODE", complete="node"),),
    options=OPTIONS,
    examples=[("Empty a node before maintenance", "gnt-node migrate -f node1.example.com")],
    op="OP_NODE_MIGRATE",
)

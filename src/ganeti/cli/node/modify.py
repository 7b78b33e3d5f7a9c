"""`gnt-node modify`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.cluster import options as shared
from ganeti.cli.declare import BOOL, FORCE, JOB, KEYVAL, STRING, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

_LATER = "declared state has no effect yet"

OPTIONS = (
    FORCE.with_changes(param="force", help="also when too few master candidates are left"),
    Option("-C --master-candidate", "whether it has a copy of the store and can become master", kind=BOOL,
           param="master_candidate"),
    Option("-D --drained", "whether it takes no new instances and its instances shall leave", kind=BOOL,
           param="drained"),
    Option("-O --offline", "whether it is not talked to at all", kind=BOOL, param="offline"),
    Option("--master-capable", "whether it may become a master candidate", kind=BOOL, param="master_capable"),
    Option("--vm-capable", "whether instances may run on it", kind=BOOL, param="vm_capable"),
    Option("-s --secondary-ip", "address for replication", kind=STRING, metavar="ADDRESS", param="secondary_ip"),
    Option("--auto-promote", "make other nodes master candidates when this one is none any more",
           param="auto_promote"),
    Option("--node-parameters", "parameters of the node; 'default' resets one", kind=KEYVAL, param="ndparams"),
    Option("--node-powered", "whether it is recorded as powered", kind=BOOL, param="powered"),
    shared.HV_STATE.with_changes(refused=_LATER),
    shared.DISK_STATE.with_changes(refused=_LATER),
    *JOB,
)  # fmt: skip


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node modify NODE`."""
    op = jobs.op_from("OP_NODE_SET_PARAMS", OPTIONS, options, node_name=arguments[0])
    if not set(op) - {"OP_ID", "node_name", "force", "auto_promote"}:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "nothing to change is given; --help shows what can be changed")
    results = jobs.one(session, options, op)
    if results and results[0] and not options["dry_run"]:
        session.say(f"Modified node {arguments[0]}")
        for what, value in results[0]:
            session.say(f" - {what} -> {value}")
    return 0


COMMAND = Command(
    run,
    "Change a node: its role, what it is good for, its parameters",
    arguments=(Argument("NODE", complete="node"),),
    options=OPTIONS,
    description="A node has one role: master candidate, regular, drained or offline. A drained or offline node is no"
    " master candidate.",
    examples=[
        ("It broke", "gnt-node modify --offline yes --auto-promote node2.example.com"),
        ("It is back", "gnt-node modify --offline no node2.example.com"),
        ("Before maintenance", "gnt-node modify --drained yes node2.example.com"),
    ],
    op="OP_NODE_SET_PARAMS",
)

"""`gnt-debug delay`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, STRING, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("--no-master", "do not wait on the master", off=True, param="on_master", dest="on_master"),
    Option(
        "-n",
        "wait on this node",
        kind=STRING,
        repeat=True,
        param="on_nodes",
        dest="on_nodes",
        metavar="NODE",
        complete="node",
    ),
    Option("-r --repeat", "wait that many times more", kind="int", default=0, param="repeat"),
    Option("-i --interruptible", "a socket can end it", param="interruptible"),
    Option("-l --no-locks", "take no locks"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-debug delay SECONDS`."""
    try:
        duration_s = float(arguments[0])
    except ValueError:
        duration_s = -1.0
    if not 0 <= duration_s < 1e9:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, f"'{arguments[0]}' is no number of seconds")
    op = jobs.op_from("OP_TEST_DELAY", OPTIONS, options, duration=duration_s, no_locks=bool(options["no_locks"]))
    jobs.one(session, options, op)
    return 0


COMMAND = Command(
    run,
    "A job that only waits",
    arguments=(Argument("SECONDS"),),
    options=OPTIONS,
    examples=[("Keep the node locked for a minute", "gnt-debug delay -n node1.example.com --submit 60")],
    op="OP_TEST_DELAY",
)

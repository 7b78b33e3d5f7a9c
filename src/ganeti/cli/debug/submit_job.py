"""`gnt-debug submit-job`: jobs written by hand, as JSON lists of operations."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import DRY_RUN, PRIORITY, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def read(path: str) -> list[dict[str, Any]]:
    """The operations in a file. Raises `Refused`."""
    import json

    from ganeti.base.errors import ENVIRONMENT, WRONG_INPUT, Refused

    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise Refused(ENVIRONMENT, f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(WRONG_INPUT, f"{path} is no JSON: {error}") from error
    if not isinstance(data, list) or not all(isinstance(op, dict) and "OP_ID" in op for op in data) or not data:
        raise Refused(WRONG_INPUT, f"{path} must hold a list of operations, each an object with OP_ID")
    return data


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-debug submit-job FILE...`."""
    named = [
        (path, read(path) * options["op_repeat"]) for path in arguments for _ in range(max(0, options["job_repeat"]))
    ]
    if not named or any(not ops for _, ops in named):
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "--op-repeat and --job-repeat are at least 1")
    began_ns = session.now_ns()
    if options["verbose"]:
        for path, ops in named:
            session.say(f"{path}: a job of {', '.join(op['OP_ID'] for op in ops)}")
    if options["each"]:
        status = max([jobs.many(session, options, [job]) for job in named])
    else:
        status = jobs.many(session, options, named)
    if options["timing_stats"]:
        took_s = max(session.now_ns() - began_ns, 1) / 1e9
        operations = sum(len(ops) for _, ops in named)
        session.say(f"{len(named)} jobs, {operations} operations in {took_s:.3f} s: {len(named) / took_s:.1f} jobs/s")
    return status


COMMAND = Command(
    run,
    "Submit jobs from files: each a JSON list of operations",
    arguments=(Argument("FILE", 1, None, complete="file"),),
    options=(
        Option("-v --verbose", "say what is submitted"),
        Option("--op-repeat", "repeat the operations within a job", kind="int", default=1),
        Option("--job-repeat", "repeat each job", kind="int", default=1),
        Option("--timing-stats", "say how long it took"),
        Option("--each", "submit one job, wait for it, then the next"),
        DRY_RUN,
        PRIORITY,
    ),
    examples=[
        ("A hundred jobs", "gnt-debug submit-job --job-repeat=100 --timing-stats delay.json"),
        ("Such a file", '[{"OP_ID": "OP_TEST_DELAY", "duration": 0}]'),
    ],
)

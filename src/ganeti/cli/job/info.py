"""`gnt-job info`."""

from __future__ import annotations

from ganeti.cli import jobs, output, table
from ganeti.cli.declare import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def readable(job: dict[str, Any]) -> dict[str, Any]:
    """A job as people read it. The shape is `contract.api.JobDetails`."""
    received, started, ended = job["received_ts"], job["start_ts"], job["end_ts"]
    took = f"{table.seconds(ended) - table.seconds(received):.6f} seconds" if received and ended else "N/A"
    return {
        "Job ID": job["id"],
        "Status": job["status"],
        "Received": f"        {table.precise(received)}" if received else "        unknown",
        "Processing start": _since(started, received) if started else "unknown",
        "Processing end": f"  {_since(ended, started)}" if ended else "  unknown",
        "Total processing time": took,
        "Opcodes": [_operation(op) for op in job["ops"]],
    }


def _since(time_s: Any, before_s: Any) -> str:
    text = table.precise(time_s)
    return f"{text} (delta {table.seconds(time_s) - table.seconds(before_s):.6f}s)" if before_s else text


def _operation(op: dict[str, Any]) -> dict[str, Any]:
    return {
        "Opcode": op["input"]["OP_ID"],
        "Status": op["status"],
        "Processing start": table.precise(op["start"]),
        "Execution start": f" {table.precise(op['exec'])}",
        "Processing end": f"  {table.precise(op['end'])}",
        "Input fields": output.sorted_keys(op["input"]),
        "Result": output.sorted_keys(op["result"]),
        "Execution log": [_entry(*entry) for entry in op["log"]],
    }


def _entry(serial: int, time_s: Any, kind: str, text: str) -> dict[str, Any]:
    return {"Time": table.precise(time_s), "Content": [serial, kind, text]}


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-job info ID...`. Status 1 when one is not known; the others are shown."""
    from ganeti.base.errors import Refused

    found, status = [], 0
    for job_id in [jobs.job_id(argument) for argument in arguments]:
        try:
            found.append(session.master.job(job_id))
        except Refused as error:
            session.warn(error.message)
            status = 1
    output.show(session, options, found, [readable(job) for job in found])
    return status


COMMAND = Command(
    run,
    "Show jobs with their operations, parameters, results and log",
    arguments=(Argument("JOBID", 1, None, complete="job"),),
    options=output.STRUCTURED,
    examples=[("What went wrong in job 30", "gnt-job info 30")],
)

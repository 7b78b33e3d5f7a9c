"""Handing in jobs and following them: ids, log lines as they come, results, and errors as scripts know them."""

from __future__ import annotations

from time import ctime, sleep

from ganeti.cli import declare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ganeti.base.errors import GanetiError
    from ganeti.cli.declare import Option, Options
    from ganeti.cli.session import Session

    Op = dict[str, Any]

PRIORITIES = {"low": 10, "normal": 0, "high": -10}
MASTER_BACK_WITHIN_S = 60.0


def op_from(op_id: str, declared: Sequence[Option], options: Options, **more: Any) -> Op:
    """An operation from the options that are declared to be its parameters, as far as they were given."""
    op: Op = {"OP_ID": op_id}
    for option in declared:
        value = options[option.dest]
        if option.param and value is not None and value != option.default:
            op[option.param] = value
    op.update(more)
    return op


def one(session: Session, options: Options, op: Op) -> list[Any] | None:
    """Hand in a job of one operation and wait. Returns the results, or None with --submit. Raises what it ended with."""
    job_id = session.master.submit_one([prepared(session, options, op)])
    session.jobs.append(job_id)
    if options.get("submit"):
        session.say(f"JobID: {job_id}")
        return None
    if options.get("print_jobid"):
        session.say(str(job_id))
    return follow(session, job_id, dry_run=bool(options.get("dry_run")))


def many(session: Session, options: Options, named: Sequence[tuple[str, Sequence[Op]]]) -> int:
    """Hand in one job for each name, then follow them all. 0 when all ended well."""
    jobs = [[prepared(session, options, op) for op in ops] for _, ops in named]
    accepted = session.master.submit(jobs)
    status = 0
    running: list[tuple[int, str]] = []
    for (name, _), job in zip(named, accepted, strict=True):
        if isinstance(job, int):
            session.jobs.append(job)
            running.append((job, name))
        else:
            _report(session, f"Failed to submit job for {name}", job)
            status = 1
    if options.get("submit"):
        for job_id, name in running:
            session.say(f"{job_id}: {name}")
        return status
    if options.get("print_jobid"):
        for job_id, _ in running:
            session.say(str(job_id))
    for job_id, name in running:
        session.say(f"Waiting for job {job_id} for {name} ...")
        status = max(status, ended(session, job_id, f"Job {job_id} for {name} has failed", options)[0])
    return status


def ended(
    session: Session, job_id: int, failed: str, options: Options, *, quiet: bool = False
) -> tuple[int, list[Any]]:
    """Follow a job of several; an error is told with `failed` in front. Returns (0 or 1, results)."""
    from ganeti.base.errors import GanetiError

    try:
        return 0, follow(session, job_id, dry_run=bool(options.get("dry_run")), quiet=quiet)
    except GanetiError as error:
        _report(session, failed, error)
        return 1, []


def prepared(session: Session, options: Options, op: Op) -> Op:
    """The operation with what every one carries: priority, dry run, reason."""
    op = dict(op)
    if options.get("priority"):
        op["priority"] = PRIORITIES[options["priority"]]
    if options.get("dry_run"):
        op["dry_run"] = True
    if options.get("debug"):
        op["debug_level"] = int(options["debug"])
    now_ns = session.now_ns()
    reason = [["gnt:user", options["reason"], now_ns]] if options.get("reason") else []
    op["reason"] = [*op.get("reason", ()), *reason, [f"gnt:client:{session.program}", session.command, now_ns]]
    return op


def follow(session: Session, job_id: int, *, dry_run: bool = False, quiet: bool = False) -> list[Any]:
    """Print a job's log until its end and return the results of its operations. Raises what it ended with.

    A master that goes away is waited for: a job outlives it.
    """
    told: set[str] = set()
    for news in _patient_news(session, job_id):
        for _, time_s, kind, text in news["log"]:
            if not quiet:
                session.say(log_line(session, time_s, kind, text, dry_run=dry_run))
        session.show()
        status = news["status"]
        if status in ("queued", "waiting") and not news["log"] and status not in told and session.err_is_terminal:
            if told or not news["changed"]:
                waits = "in the queue" if status == "queued" else "for locks ('gnt-debug locks' shows who holds them)"
                session.warn(f"Job {job_id} waits {waits}")
            told.add(status)
        if status in ("success", "error", "canceled"):
            return _results(session, job_id, news, dry_run=dry_run and not quiet)
    raise AssertionError("news of a job end with its end")


def _patient_news(session: Session, job_id: int) -> Any:
    """`Master.news`, going on where it stopped when the master comes back."""
    from ganeti.base.errors import GanetiError
    from ganeti.client.errors import Unreachable

    seen, silent_s, pause_s = 0, 0.0, 0.1
    while True:
        try:
            for news in session.master.news(job_id):
                fresh = [entry for entry in news["log"] if entry[0] > seen]
                seen = max([seen, *(entry[0] for entry in fresh)])
                silent_s, pause_s = 0.0, 0.1
                yield {**news, "log": fresh}
            return
        except Unreachable as error:
            if silent_s >= MASTER_BACK_WITHIN_S:
                raise GanetiError(
                    f"{error.message}; 'gnt-job watch {job_id}' shows then how the job goes on"
                ) from error
            if silent_s == 0:
                session.warn(f"The master daemon went away; waiting up to {MASTER_BACK_WITHIN_S:.0f} s for it")
        sleep(pause_s)
        silent_s += pause_s
        pause_s = min(pause_s * 1.5, 2.0)


def log_line(session: Session, time_s: Any, kind: str, text: str, *, dry_run: bool) -> str:
    """One line of a log. A plan is read by people, not by the clock: --dry-run shows no times."""
    from ganeti.cli.table import seconds

    if kind == "warning" and "WARNING" not in text:
        text = f" - WARNING: {text}"
    if "WARNING" in text[:12]:
        text = session.paint(text, "yellow")
    return text if dry_run else f"{ctime(seconds(time_s))} {text}"


def _results(session: Session, job_id: int, news: dict[str, Any], *, dry_run: bool) -> list[Any]:
    results: list[Any] = news["op_result"]
    match news["status"]:
        case "success":
            if dry_run:
                for result in results:
                    show_plan(session, result)
            return results
        case "canceled":
            from ganeti.base.errors import GanetiError

            raise GanetiError(f"Job {job_id} was canceled")
        case _:
            raise _error_of(job_id, news)


def _error_of(job_id: int, news: dict[str, Any]) -> GanetiError:
    """What the operation that failed ended with; with several, how many had been done before."""
    from ganeti.client.errors import from_result

    states: list[str] = news["op_status"]
    at = states.index("error") if "error" in states else len(states) - 1
    error = from_result(news["op_result"][at])
    if len(states) > 1:
        error.message = f"{error.message}\n(operation {at + 1} of {len(states)}; those before it are done)"
    return error


def show_plan(session: Session, result: Any) -> None:
    """What --dry-run answers: steps, why, and what else the plan tells."""
    if not isinstance(result, dict):
        return
    from ganeti.cli.output import nested

    session.write(nested(result))


def _report(session: Session, what: str, error: GanetiError) -> None:
    from ganeti.cli.failure import describe

    session.warn(
        session.paint(f"{what}: {describe(error)}", "red") if session.err_is_terminal else f"{what}: {describe(error)}"
    )


def job_id(text: str) -> int:
    """The number of a job as an argument. Raises `Refused`."""
    if text.isascii() and text.isdigit():
        return int(text)
    from ganeti.base.errors import WRONG_INPUT, Refused

    raise Refused(WRONG_INPUT, f"'{text}' is no job number; 'gnt-job list' shows them")


SUBMIT_ONLY = (declare.SUBMIT, declare.PRINT_JOBID)
"""For commands that submit jobs but cannot be asked for a plan."""

"""Jobs as lists and `gnt-job info` show them. Spec: cli, "job — 16 fields"; interfaces, section 15.

Times in columns are pairs [seconds, microseconds], as clients of the old interfaces know them; None before they
are. Archived jobs are read only when a query names the field `archived`, or a job by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Refused
from ganeti.contract import api
from ganeti.contract.operation import REGISTRY
from ganeti.contract.view import View
from ganeti.master.jobs.records import shown
from ganeti.master.queries.fields import Column, Field, Kind, Need, by_name, plain
from ganeti.master.queries.sources import Sources
from ganeti.model import jobs
from ganeti.model.jobs import Job, JobId, OpState


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A job, and whether it is archived."""

    job: Job
    archived: bool = False


class Jobs:
    """The resource `job`."""

    default_fields = ("id", "status", "summary")
    name_field = "id"

    def fields(self, view: View) -> Mapping[str, Field[None, Row]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[Row]:
        """See `Resource.rows`. In the order of ids."""
        found = {job.id: Row(job=job) for job in sources.jobs()}
        if "archive" in needs:
            for job in await sources.archived_jobs(None):
                found.setdefault(job.id, Row(job=job, archived=True))
        return [found[key] for key in sorted(found)]

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[Row]:
        """See `Resource.named`. Names are ids; the archive is searched for those that are not in the queue."""
        wanted = {_job_id(name) for name in names}
        found = {job.id: Row(job=job) for job in sources.jobs() if job.id in wanted}
        if missing := wanted - found.keys():
            found.update((job.id, Row(job=job, archived=True)) for job in await sources.archived_jobs(missing))
        if unknown := sorted(wanted - found.keys()):
            word = "Job" if len(unknown) == 1 else "Jobs"
            raise Refused(UNKNOWN, f"{word} {', '.join(map(str, unknown))} not found", names=unknown)
        return [found[key] for key in sorted(found)]

    async def look(self, sources: Sources, view: View, rows: Sequence[Row], needs: frozenset[Need]) -> None:
        """See `Resource.look`."""


def details(job: Job, archived: bool) -> api.JobDetails:
    """A job as `gnt-job info` shows it; times are seconds since the epoch, secret values are not shown."""
    return api.JobDetails(
        id=job.id,
        status=job.status,
        received_ts=job.received_timestamp,
        start_ts=job.start_timestamp,
        end_ts=job.end_timestamp,
        archived=archived,
        summary=_summaries(job),
        ops=[
            {
                "input": shown(op),
                "status": op.status,
                "result": op.result,
                "log": [[entry.serial, entry.time_s, entry.kind, entry.text] for entry in op.log],
                "start": op.start_timestamp,
                "exec": op.exec_timestamp,
                "end": op.end_timestamp,
                "priority": op.priority,
            }
            for op in job.ops
        ],
    )


def _job_id(name: str) -> JobId:
    if not (name.isascii() and name.isdigit()) or len(name) > 18:
        raise Refused(WRONG_INPUT, f"'{name}' is not a job id: that is a number", name=name)
    return JobId(int(name))


def _summaries(job: Job) -> list[str]:
    return [_summary(op) for op in job.ops]


def _summary(op: OpState) -> str:
    operation = REGISTRY.get(op.op_id)
    return jobs.summary(op.input, operation.params.summary_field if operation is not None else None)


def _pair(time_s: float | None) -> list[int] | None:
    if time_s is None:
        return None
    micros = round(time_s * 1_000_000)
    return [micros // 1_000_000, micros % 1_000_000]


def _log(op: OpState) -> list[list[Any]]:
    return [[entry.serial, _pair(entry.time_s), entry.kind, entry.text] for entry in op.log]


def _each(read: Callable[[OpState], Any]) -> Callable[[object], Column[Row]]:
    return plain(lambda row: [read(op) for op in row.job.ops])


def _f(
    name: str, title: str, kind: Kind, doc: str, column: Callable[[None], Column[Row]], *needs: Need
) -> Field[None, Row]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=column, needs=frozenset(needs))


_FIELDS: Final = by_name(
    [
        _f("id", "ID", "number", "Number of the job", plain(lambda r: r.job.id)),
        _f("status", "Status", "text", "queued, waiting, canceling, running, canceled, success or error", plain(lambda r: r.job.status)),
        _f("priority", "Priority", "number", "Priority; lower is more urgent", plain(lambda r: r.job.priority)),
        _f("archived", "Archived", "bool", "Whether it is archived", plain(lambda r: r.archived), "archive"),
        _f("ops", "OpCodes", "other", "Operations as submitted", _each(shown)),
        _f("opresult", "OpCode_result", "other", "Result of each operation", _each(lambda op: op.result)),
        _f("opstatus", "OpCode_status", "other", "Status of each operation", _each(lambda op: op.status)),
        _f("oplog", "OpCode_log", "other", "Log of each operation", _each(_log)),
        _f("opstart", "OpCode_start", "other", "When each operation was taken up", _each(lambda op: _pair(op.start_timestamp))),
        _f("opexec", "OpCode_exec", "other", "When each operation had its locks", _each(lambda op: _pair(op.exec_timestamp))),
        _f("opend", "OpCode_end", "other", "When each operation ended", _each(lambda op: _pair(op.end_timestamp))),
        _f("oppriority", "OpCode_prio", "other", "Priority of each operation", _each(lambda op: op.priority)),
        _f("summary", "Summary", "other", "Operations in short", plain(lambda r: _summaries(r.job))),
        _f("received_ts", "Received", "other", "When it was accepted", plain(lambda r: _pair(r.job.received_timestamp))),
        _f("start_ts", "Start", "other", "When it was taken up", plain(lambda r: _pair(r.job.start_timestamp))),
        _f("end_ts", "End", "other", "When it ended", plain(lambda r: _pair(r.job.end_timestamp))),
    ]
)  # fmt: skip

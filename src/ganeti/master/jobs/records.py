"""A job in memory and its form in the store. Pure but for the waiting of who watches it.

Keys: `job/ID` (the job with its log), `undo/ID/SEQ` (its undo list). IDs are padded so that keys sort.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, GanetiError, HooksAborted, Refused
from ganeti.contract.operation import REGISTRY, OpParams
from ganeti.master.nodes import Owed
from ganeti.model.jobs import (
    FINAL,
    PRIORITY_HIGHEST,
    PRIORITY_LOWEST,
    Job,
    JobId,
    LogEntry,
    OpState,
    Status,
    status_of,
)

JOB_PREFIX: Final = "job/"
UNDO_PREFIX: Final = "undo/"
SERIAL_KEY: Final = "serial/job"
REDACTED: Final = "<redacted>"


def job_key(job: JobId) -> str:
    """Where a job is stored."""
    return f"{JOB_PREFIX}{job:010d}"


def undo_key(job: int, seq: int) -> str:
    """Where one reversal of a job is stored; higher ones are played first."""
    return f"{UNDO_PREFIX}{job:010d}/{seq:06d}"


@dataclass(slots=True)
class Tracked:
    """A job the master works with. `job` is what the store shall hold; `log` has lines not yet in it."""

    job: Job
    secrets: dict[int, dict[str, Any]] = field(default_factory=dict)
    undo: dict[str, Owed] = field(default_factory=dict)
    undo_seq: int = 0
    log: list[list[LogEntry]] = field(default_factory=list)
    log_serial: int = 0
    task: asyncio.Task[None] | None = None
    kill_asked: bool = False
    marked_running: bool = False
    ending: bool = False
    """Whether the end of its current operation is being committed: nothing may interfere any more."""
    watchers: list[asyncio.Future[None]] = field(default_factory=list)
    ended_as: dict[JobId, Status] = field(default_factory=dict)
    """How archived jobs ended on which this one depends."""

    def __post_init__(self) -> None:
        self.log = [list(op.log) for op in self.job.ops]
        self.log_serial = max((entry.serial for op in self.job.ops for entry in op.log), default=0)

    @property
    def current(self) -> int:
        """Index of the first operation that has not ended; the number of operations when all have."""
        return next((i for i, op in enumerate(self.job.ops) if op.status not in FINAL), len(self.job.ops))

    def params(self, index: int) -> OpParams:
        """The operation's parameters, secrets included."""
        return decode_op(self.job.ops[index].input | self.secrets.get(index, {}))

    def set_op(self, index: int, **fields: Any) -> None:
        """Replace fields of one operation's state, and tell who watches."""
        ops = list(self.job.ops)
        ops[index] = msgspec.structs.replace(ops[index], **fields)
        self.job = msgspec.structs.replace(self.job, ops=tuple(ops))
        self.notify()

    def add_log(self, index: int, now_s: float, kind: str, text: str) -> None:
        """One line more."""
        self.log_serial += 1
        self.log[index].append(LogEntry(serial=self.log_serial, time_s=now_s, kind=kind, text=text))
        self.notify()

    def ended(self, index: int, status: Status, result: Any, now_s: float) -> Job:
        """The job as it is when one operation has ended; an end without success ends the ones after it too."""
        job = self.with_log()
        ops = list(job.ops)
        ops[index] = msgspec.structs.replace(ops[index], status=status, result=result, end_timestamp=now_s)
        if status != "success":
            rest: Any = ["OpExecError", ["Preceding opcode failed"]] if status == "error" else result
            for later in range(index + 1, len(ops)):
                ops[later] = msgspec.structs.replace(ops[later], status=status, result=rest, end_timestamp=now_s)
        if status_of(op.status for op in ops) not in FINAL:
            return msgspec.structs.replace(job, ops=tuple(ops))
        return msgspec.structs.replace(job, ops=tuple(map(without_private, ops)), end_timestamp=now_s)

    def become(self, job: Job) -> None:
        """What was committed is what is shown from now on."""
        self.job = job
        if job.status in FINAL:
            self.secrets.clear()
        self.notify()

    def notify(self) -> None:
        """Wake who waits for news."""
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    def with_log(self) -> Job:
        """The job with every line of its log, as it is stored and shown."""
        ops = tuple(
            op if len(op.log) == len(lines) else msgspec.structs.replace(op, log=tuple(lines))
            for op, lines in zip(self.job.ops, self.log, strict=True)
        )
        return self.job if ops == self.job.ops else msgspec.structs.replace(self.job, ops=ops)

    def encoded(self) -> dict[str, bytes]:
        """The store's record of the job, its whole log included."""
        self.job = self.with_log()
        return record(self.job)


def record(job: Job) -> dict[str, bytes]:
    """A job as a key and value of the store."""
    return {job_key(job.id): msgspec.json.encode(job)}


def decode_op(data: dict[str, Any]) -> OpParams:
    """An operation from its JSON form, or `Refused` (wrong_input) that names the operation and the parameter."""
    op_id = data.get("OP_ID")
    operation = REGISTRY.get(op_id) if isinstance(op_id, str) else None
    if operation is None:
        raise Refused(WRONG_INPUT, f"there is no operation '{op_id}' (OP_ID)", OP_ID=op_id)
    try:
        params: OpParams = msgspec.convert(data, operation.params)
    except msgspec.ValidationError as error:
        raise Refused(WRONG_INPUT, f"{op_id}: {error}", OP_ID=op_id) from error
    return params


def new_op(data: dict[str, Any], extra_reason: Sequence[Any]) -> tuple[OpState, dict[str, Any]]:
    """A freshly submitted operation as it is stored, and its secrets, which are not. Checks every parameter."""
    params = decode_op(data)
    if not PRIORITY_HIGHEST <= params.priority <= PRIORITY_LOWEST:
        raise Refused(WRONG_INPUT, f"a priority lies between {PRIORITY_HIGHEST} and {PRIORITY_LOWEST}")
    clean = {name: value for name, value in data.items() if name not in params.secret_fields}
    secrets = {name: value for name, value in data.items() if name in params.secret_fields and value}
    clean |= {name: _redacted(value) for name, value in secrets.items()}
    clean["reason"] = [*data.get("reason", []), list(extra_reason)]
    return OpState(input=clean, priority=params.priority), secrets


def has_lost_secrets(op: OpState) -> bool:
    """Whether an operation read back from the store lacks what it was given and what is never stored."""
    return any(_is_redacted(op.input.get(name)) for name in REGISTRY[op.op_id].params.secret_fields)


def shown(op: OpState) -> dict[str, Any]:
    """An operation's input as people may see it."""
    operation = REGISTRY.get(op.op_id)
    hidden = () if operation is None else (*operation.params.secret_fields, *operation.params.private_fields)
    return {name: _redacted(value) if name in hidden else value for name, value in op.input.items()}


def without_private(op: OpState) -> OpState:
    """An operation that has ended keeps nothing that may not be shown."""
    return msgspec.structs.replace(op, input=shown(op))


def error_result(error: BaseException) -> list[Any]:
    """An error as the result of an operation: [class, [message, code]] with the class names clients know."""
    match error:
        case HooksAborted():
            return ["HooksAbort", [[list(failure) for failure in error.failures]]]
        case Refused():
            return ["OpPrereqError", [error.message, error.code]]
        case GanetiError():
            return ["OpExecError", [error.message], _plain(error.facts)]
        case _:
            return ["OpExecError", [f"{type(error).__name__}: {error}"]]


def _plain(facts: dict[str, object]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(facts, enc_hook=str, str_keys=True)
    return plain


def _is_redacted(value: Any) -> bool:
    return any(map(_is_redacted, value.values())) if isinstance(value, dict) else value == REDACTED


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _redacted(inner) for name, inner in value.items()}
    return REDACTED if value else value

"""Jobs as values: a list of operations with a state each, and the rules by which states follow.

Spec: interfaces, section 15. Times are seconds since the epoch; ids count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NewType

import msgspec

JobId = NewType("JobId", int)

Status = Literal["queued", "waiting", "canceling", "running", "canceled", "success", "error"]

FINAL: Final[frozenset[Status]] = frozenset({"canceled", "success", "error"})

PRIORITY_LOW: Final = 10
PRIORITY_NORMAL: Final = 0
PRIORITY_HIGH: Final = -10
PRIORITY_LOWEST: Final = 19
PRIORITY_HIGHEST: Final = -20


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One line of an operation's log; `serial` counts from 1 over the whole job."""

    serial: int
    time_s: float
    kind: str
    text: str


class OpState(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a job. `input` is the operation as submitted, with its OP_ID; secrets are left out."""

    input: dict[str, Any]
    status: Status = "queued"
    result: Any = None
    log: tuple[LogEntry, ...] = ()
    priority: int = PRIORITY_NORMAL
    start_timestamp: float | None = None
    exec_timestamp: float | None = None
    end_timestamp: float | None = None

    @property
    def op_id(self) -> str:
        """The operation's tag, for instance OP_INSTANCE_CREATE."""
        return str(self.input.get("OP_ID", ""))


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job with its operations, as stored."""

    id: JobId
    ops: tuple[OpState, ...]
    received_timestamp: float
    start_timestamp: float | None = None
    end_timestamp: float | None = None

    @property
    def status(self) -> Status:
        """The state of the whole, computed from the operations."""
        return status_of(op.status for op in self.ops)

    @property
    def priority(self) -> int:
        """The most urgent priority among operations that have not ended."""
        return min((op.priority for op in self.ops if op.status not in FINAL), default=PRIORITY_NORMAL)


def status_of(states: Iterable[Status]) -> Status:
    """A job's state: the first operation that was (or is being) canceled or failed decides, then what is under way."""
    current: Status = "queued"
    all_done = True
    for state in states:
        if state in ("canceling", "error", "canceled"):
            return state
        if state in ("waiting", "running"):
            current = state
        if state != "success":
            all_done = False
    return "success" if all_done else current


def summary(op_input: dict[str, Any], field: str | None) -> str:
    """The short form of an operation in lists: `INSTANCE_CREATE(web1)`; `field` names the parameter shown."""
    short = str(op_input.get("OP_ID", "")).removeprefix("OP_")
    value = op_input.get(field) if field is not None else None
    return short if value is None else f"{short}({value})"

"""The port of operations: parameters, locks, a pure plan, and deeds with their undo written first.

An operation is one file in `ganeti.ops`. Its life: `locks` names what it needs; with the locks held, `survey`
asks nodes (reads only), `plan` decides without I/O or awaiting and may refuse, `run` does the deeds and returns
an `Outcome`, whose change is committed together with the operation's result and the end of its undo list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from ganeti.base.clock import Clock
from ganeti.base.errors import Failed, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls import Call
from ganeti.contract.hooks import Hooks
from ganeti.contract.reservation import NOTHING, Reservation
from ganeti.contract.view import View
from ganeti.contract.wire import Address
from ganeti.model.jobs import JobId, Status
from ganeti.model.objects import Stored, Uuid

R = TypeVar("R")


class OpParams(msgspec.Struct, frozen=True, kw_only=True, tag_field="OP_ID", forbid_unknown_fields=True):
    """What every operation takes (spec: opcodes, common fields); subclasses carry `tag="OP_..."`."""

    summary_field: ClassVar[str | None] = None
    """The parameter shown in `gnt-job list`."""

    secret_fields: ClassVar[tuple[str, ...]] = ()
    """Parameters that are never stored, nor shown."""

    private_fields: ClassVar[tuple[str, ...]] = ()
    """Parameters that are stored while the job lives, and never shown."""

    dry_run: bool = False
    debug_level: int = 0
    priority: int = 0
    depends: tuple[tuple[int, tuple[Status, ...]], ...] | None = None
    comment: str | None = None
    reason: tuple[tuple[str, str, int], ...] = ()


class Locks(msgspec.Struct, frozen=True, kw_only=True):
    """Names an operation needs: `cluster`, `instance/NAME`, `node/UUID`, `nodegroup/UUID`, `network/UUID`.

    All are taken at once. The executor adds a shared `cluster` unless it is asked for exclusively.
    """

    exclusive: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Objects to write and to remove, in one transaction. Compared against the revisions in the picture."""

    put: tuple[Stored, ...] = ()
    remove: tuple[Stored, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A decision. Subclasses add what `run` needs; `steps` and `because` are what --dry-run shows."""

    reserve: Reservation = NOTHING
    steps: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    dry_result: Any = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation ended well: its result (plain JSON data) and the change to commit with it.

    `owed` are calls that nodes must still obey, before anything new is served to them: debts from the start.
    """

    result: Any = None
    change: Change = Change()
    owed: tuple[tuple[Uuid, Call[Any]], ...] = ()


class Asker(Protocol):
    """What a survey may do: look and ask."""

    @property
    def view(self) -> View:
        """The cluster now."""
        ...

    async def call(self, node: Uuid, call: Call[R]) -> R:
        """Ask one node. Raises the node's error, or `Unavailable`."""
        ...

    async def call_each(self, calls: Mapping[Uuid, Call[R]]) -> dict[Uuid, R | Unavailable | Failed]:
        """Ask several nodes at once; an error is an answer here."""
        ...

    async def call_at(self, address: Address, call: Call[R]) -> R:
        """Ask a host that is no node of the cluster (yet). Raises like `call`."""
        ...


class Undo(Protocol):
    """The durable list of what takes a job's deeds back, played backwards when it fails or its master dies."""

    async def later(self, *calls: tuple[Uuid, Call[Any]]) -> None:
        """Write down, before the deed, the calls that reverse it."""
        ...


class Context(Asker, Protocol):
    """What `run` may touch."""

    @property
    def job(self) -> JobId:
        """The job this operation belongs to."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of day."""
        ...

    @property
    def ids(self) -> Ids:
        """Fresh identities."""
        ...

    @property
    def undo(self) -> Undo:
        """Where reversals are written."""
        ...

    def say(self, text: str) -> None:
        """A line in the job's log, seen by who watches."""
        ...

    def warn(self, text: str) -> None:
        """The same, as a warning."""
        ...

    async def commit(self, change: Change, *, then: Sequence[tuple[Uuid, Call[Any]]] = ()) -> None:
        """Commit in the middle: what was done so far stays, its undo list is dropped.

        `then` is the undo list from now on, written in the same transaction; its last entry is played first.
        """
        ...

    async def submit(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[JobId]:
        """Submit further jobs; negative dependencies are relative to their place in the list."""
        ...


P = TypeVar("P", bound=OpParams)
F = TypeVar("F")
L = TypeVar("L", bound=Plan)

Recovery = Literal["undo", "rerun"]
"""After the master died while it ran: undone and failed, or undone and run again from the start."""


class Operation(Generic[P, F, L]):
    """One operation. Stateless: one object serves all jobs."""

    params: type[P]
    recovery: ClassVar[Recovery] = "undo"

    def locks(self, params: P, view: View) -> Locks:
        """What it needs; may refuse when an object it names is not there."""
        raise NotImplementedError

    async def survey(self, ask: Asker, params: P) -> F:
        """Ask the nodes for what the plan must know."""
        raise NotImplementedError

    def plan(self, params: P, facts: F, view: View, ids: Ids) -> L:
        """Decide. Raises `Refused` with nothing changed."""
        raise NotImplementedError

    def hooks(self, params: P, plan: L, view: View) -> Hooks | None:
        """What the operator's scripts are told before and after it, and where they run; None: it has no hooks.

        Asked twice, with the cluster as it is before the deeds and as it is after the commit. Pure.
        """
        return None

    async def run(self, ctx: Context, params: P, plan: L) -> Outcome:
        """Do it."""
        raise NotImplementedError


class SimplePlan(Plan, frozen=True, kw_only=True):
    """A plan that is nothing but a change and a result."""

    change: Change = Change()
    result: Any = None


class ConfigOperation(Operation[P, None, SimplePlan]):
    """An operation that only changes the configuration: a plan, no deeds. Running it again is harmless."""

    recovery: ClassVar[Recovery] = "rerun"

    async def survey(self, ask: Asker, params: P) -> None:
        """Nothing to ask."""

    async def run(self, ctx: Context, params: P, plan: SimplePlan) -> Outcome:
        """Commit what was planned."""
        return Outcome(result=plan.result, change=plan.change)


REGISTRY: dict[str, Operation[Any, Any, Any]] = {}
"""OP_ID to operation, filled by `ganeti.ops.load()`."""

Op = TypeVar("Op", bound=Operation[Any, Any, Any])


def operation(cls: type[Op]) -> type[Op]:
    """Register an operation class under the tag of its parameters."""
    tag = cls.params.__struct_config__.tag
    if tag in REGISTRY:
        raise TypeError(f"two operations are called {tag}")
    REGISTRY[str(tag)] = cls()
    return cls

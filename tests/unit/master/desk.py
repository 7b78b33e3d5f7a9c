"""A queue at work over a store in memory, with operations made for tests and nodes that answer as they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, TypeVar

import msgspec

from ganeti.base.clock import LoopClock
from ganeti.base.errors import GanetiError
from ganeti.base.ids import Ids, SeededIds
from ganeti.base.tasks import Scope
from ganeti.contract.calls import Call
from ganeti.contract.calls.node import NodeDelay
from ganeti.contract.operation import (
    REGISTRY,
    Asker,
    Change,
    Context,
    Locks,
    Operation,
    OpParams,
    Outcome,
    Plan,
    Recovery,
)
from ganeti.contract.reservation import NOTHING, Reservation
from ganeti.contract.view import View
from ganeti.contract.wire import Address
from ganeti.locks.manager import LockManager
from ganeti.locks.table import LockTable
from ganeti.main.catalog import build_catalog
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.queue import Queue
from ganeti.master.jobs.records import job_key
from ganeti.master.jobs.recover import recover
from ganeti.master.nodes import Nodes
from ganeti.master.state import State
from ganeti.model.jobs import FINAL, Job, JobId
from ganeti.model.objects import Cluster, Group, Node, Stored, Uuid, changed, key_of
from ganeti.store.archive import MemoryArchive
from ganeti.store.memory import Faults, MemoryDisk, MemoryStore

R = TypeVar("R")
NODE = Uuid("a0000001-0000-4000-8000-000000000000")
GROUP = Uuid("11111111-0000-4000-8000-000000000000")
LIMIT_S = 20.0


class ProbeParams(OpParams, frozen=True, kw_only=True, tag="OP_TEST_PROBE"):
    """`does` names what `Probe.deeds` has for it; `locks` are taken exclusively."""

    secret_fields: ClassVar[tuple[str, ...]] = ("secret",)

    does: str = "nothing"
    locks: tuple[str, ...] = ()
    secret: dict[str, str] | None = None


Deed = Callable[[Context], Any]


class Probe(Operation[ProbeParams, None, Plan]):
    """An operation whose parts are given by the test."""

    params = ProbeParams
    recovery: ClassVar[Recovery] = "undo"

    def __init__(self) -> None:
        self.deeds: dict[str, Deed] = {}
        self.on_locks: Callable[[ProbeParams], None] = lambda params: None
        self.on_plan: Callable[[ProbeParams], None] = lambda params: None
        self.reserve: Reservation = NOTHING
        self.ran: list[JobId] = []

    def locks(self, params: ProbeParams, view: View) -> Locks:
        """See `Operation.locks`."""
        self.on_locks(params)
        return Locks(exclusive=frozenset(params.locks))

    async def survey(self, ask: Asker, params: ProbeParams) -> None:
        """See `Operation.survey`."""

    def plan(self, params: ProbeParams, facts: None, view: View, ids: Ids) -> Plan:
        """See `Operation.plan`."""
        self.on_plan(params)
        return Plan(reserve=self.reserve)

    async def run(self, ctx: Context, params: ProbeParams, plan: Plan) -> Outcome:
        """See `Operation.run`."""
        self.ran.append(ctx.job)
        if params.does == "nothing":
            return Outcome()
        result = await self.deeds[params.does](ctx)
        return result if isinstance(result, Outcome) else Outcome(result=result)


def probe(does: str = "nothing", **params: Any) -> dict[str, Any]:
    """A probe as it is submitted."""
    return {"OP_ID": "OP_TEST_PROBE", "does": does, **params}


@contextmanager
def registered() -> Iterator[Probe]:
    """A fresh probe, known to the queue as an operation."""
    made = Probe()
    REGISTRY["OP_TEST_PROBE"] = made
    try:
        yield made
    finally:
        del REGISTRY["OP_TEST_PROBE"]


class Answering:
    """The way to the nodes: every call is answered by `answer`, and written down."""

    def __init__(self) -> None:
        self.calls: list[Call[Any]] = []
        self.error: GanetiError | None = None

    async def call(self, address: Address, call: Call[R]) -> R:
        """See `master.nodes.Caller`."""
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return None  # type: ignore[return-value]


def deed_call(seconds: float = 0.0) -> Call[None]:
    """A call that changes something, as far as the master knows."""
    return NodeDelay(duration_s=seconds)


class Desk:
    """A master's queue with all that belongs to it. `crash` and `open` again make the next master."""

    def __init__(self, operation: Probe) -> None:
        self.operation = operation
        self.faults = Faults()
        self.disk = MemoryDisk(shared=True)
        self.caller = Answering()
        self.archive = MemoryArchive()
        self.put(
            self.cluster(),
            Group(uuid=GROUP, name="default"),
            Node(uuid=NODE, name="node1.example.com", primary_ip="192.0.2.11", secondary_ip="192.0.2.11", group=GROUP),
        )

    queue: Queue
    state: State
    nodes: Nodes
    bench: Bench
    scope: Scope

    def put(self, *objects: Stored) -> None:
        """Write into the store before there is a master."""
        self.disk.apply({key_of(obj): msgspec.json.encode(obj) for obj in objects})

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Queue]:
        """A master from its start to its sudden end."""
        store = await MemoryStore.open(self.disk, faults=self.faults)
        self.state = State(store)
        await self.state.load()
        self.nodes = Nodes(self.state, self.caller)
        self.nodes.load_debts()
        catalog, addressing = build_catalog()
        self.bench = Bench(
            state=self.state,
            nodes=self.nodes,
            clock=LoopClock(),
            ids=SeededIds(random.Random(1)),
            catalog=catalog,
            addressing=addressing,
        )
        limit = self.state.picture.cluster.max_running_jobs
        async with Scope() as self.scope:
            self.queue = Queue(self.bench, LockManager(LockTable(limit=limit)), self.archive, self.scope)
            await recover(self.bench, self.queue)
            try:
                yield self.queue
            finally:
                self.queue.close()

    async def submit(self, *ops: dict[str, Any]) -> JobId:
        """One job; raises its refusal."""
        (answer,) = await self.queue.submit([ops])
        if isinstance(answer, GanetiError):
            raise answer
        return answer

    async def until(self, what: Callable[[], bool]) -> None:
        """Let the loop turn until it is so."""
        async with asyncio.timeout(LIMIT_S):
            while not what():
                await asyncio.sleep(0)

    async def ended(self, job: JobId) -> Job:
        """The job as the store holds it when it has ended."""
        await self.until(lambda: (found := self.stored(job)) is not None and found.status in FINAL)
        await self.until(lambda: job not in self.queue.jobs or self.queue.jobs[job].job.status in FINAL)
        found = self.stored(job)
        assert found is not None
        return found

    async def run(self, *ops: dict[str, Any]) -> Job:
        """One job to its end."""
        return await self.ended(await self.submit(*ops))

    def stored(self, job: JobId) -> Job | None:
        """What the store holds of it."""
        entry = self.disk.entries.get(job_key(job))
        return None if entry is None else msgspec.json.decode(entry.value, type=Job)

    def cluster(self, **fields: Any) -> Cluster:
        """The cluster as it is at the beginning, but for these fields."""
        given: dict[str, Any] = {
            "uuid": Uuid("c0000001-0000-4000-8000-000000000000"),
            "cluster_name": "cluster.example.com",
            "master_node": NODE,
            "master_ip": "192.0.2.1",
            "master_netdev": "eth0",
            "enabled_hypervisors": ("fake",),
            "enabled_disk_templates": ("diskless",),
        }
        return Cluster(**(given | fields))

    def cluster_with(self, **fields: Any) -> Change:
        """A change of the cluster."""
        return Change(put=(changed(self.state.picture.cluster, 0.0, **fields),))


class Gate:
    """A deed that waits until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, ctx: Context) -> None:
        """The deed."""
        self.reached.set()
        await self.opened.wait()

"""The master put together: it takes over the store, settles what an earlier master left, and works until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from ganeti import ops
from ganeti.base.clock import Clock
from ganeti.base.errors import GanetiError, Unavailable
from ganeti.base.ids import Ids
from ganeti.base.log import Log
from ganeti.base.paths import Paths
from ganeti.base.tasks import Scope
from ganeti.contract.calls.node import Ping
from ganeti.contract.storage import Addressing
from ganeti.contract.store import Revision, Store
from ganeti.locks.manager import LockManager
from ganeti.locks.table import LockTable
from ganeti.master import election
from ganeti.master.enrol import Doors, Enrolment
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.queue import Archive, Queue
from ganeti.master.jobs.recover import recover
from ganeti.master.members import Members
from ganeti.master.nodes import Caller, Nodes
from ganeti.master.replicate import ReplicatedStore, Replication
from ganeti.master.sources import ArchiveReader, MasterSources
from ganeti.master.state import Deposed, State
from ganeti.model.objects import Uuid
from ganeti.model.traits import Catalog
from ganeti.store.replica import LINEAGE_KEY

log = Log(__name__)

DEBT_EVERY_S: Final = 60.0
ARCHIVE_EVERY_S: Final = 60.0
ARCHIVE_AFTER_S: Final = 6 * 3600.0
MOST_ENDED: Final = 5_000
"""Jobs that have ended and are not archived; each costs some kB of memory."""


class FullArchive(Archive, ArchiveReader, Protocol):
    """What the master needs of the job archive."""


@dataclass(frozen=True, kw_only=True)
class Household:
    """The outside world of membership. `authority_key` reads the key (PEM) that candidates get; None without one."""

    doors: Doors
    authority_key: Callable[[], str | None]


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything of the outside world that a master is given.

    `caller` makes the way to nodes for a cluster and an epoch, which are known only once the store is read.
    """

    store: Store
    archive: FullArchive
    caller: Callable[[str, int], Caller]
    clock: Clock
    ids: Ids
    catalog: Catalog
    addressing: dict[str, Addressing]
    paths: Paths
    version: str
    household: Household | None = None
    """What a master needs to look after several nodes; None for a cluster that stays as it is (in simulation)."""
    least_epoch: int = 0
    """An epoch that the nodes have seen; the new one is above it."""


@dataclass(frozen=True, kw_only=True)
class Master:
    """A master at work."""

    ports: Ports
    state: State
    nodes: Nodes
    bench: Bench
    queue: Queue
    locks: LockManager
    sources: MasterSources
    enrolment: Enrolment | None = None
    replication: Replication | None = None


@asynccontextmanager
async def at_work(ports: Ports) -> AsyncIterator[Master]:
    """Take over, recover, and run jobs for as long as the context lasts.

    Leaving it stops running jobs where they are, as a crash would: the next master settles them. An error that
    ends the master (`Bug`, `Deposed`) comes out of the context in an exception group.
    """
    ops.load()
    store = ReplicatedStore(ports.store)
    before = (await store.read(LINEAGE_KEY)).revision
    state = State(store)
    await state.load(least_epoch=ports.least_epoch)
    cluster = state.picture.cluster_or_none
    if cluster is None:
        raise Unavailable("the store holds no cluster; make one with 'gnt-cluster init'")
    nodes = Nodes(state, ports.caller(cluster.uuid, state.epoch))
    nodes.load_debts()
    bench = Bench(
        state=state, nodes=nodes, clock=ports.clock, ids=ports.ids, catalog=ports.catalog, addressing=ports.addressing
    )
    locks = LockManager(LockTable(limit=cluster.max_running_jobs))
    async with Scope() as scope:
        queue = Queue(bench, locks, ports.archive, scope)
        sources = MasterSources(
            bench=bench, queue=queue, locks=locks, archive=ports.archive, paths=ports.paths, version=ports.version
        )
        silent = await _fence(nodes, state)
        enrolment, replication = None, None
        if ports.household is not None:
            replication = _replicate(scope, store, nodes, state, before)
            bench.lagging = replication.lagging
            enrolment = Enrolment(bench, queue, ports.household.doors)
            enrolment.load()
        await recover(bench, queue, silent=silent)
        if ports.household is not None and enrolment is not None:
            members = Members(state, nodes, store, authority_key=ports.household.authority_key)
            _ = scope.start(members.run(), name="tell nodes their settings")
            _ = scope.start(enrolment.run(), name="let hosts in")
        _ = scope.start(_pay_debts(nodes), name="pay debts")
        _ = scope.start(_archive_old(queue), name="archive old jobs")
        _ = scope.start(_end_when_deposed(state), name="end when deposed")
        log.info("master at work", epoch=state.epoch, instances=len(state.picture.instances), jobs=len(queue.jobs))
        try:
            yield Master(
                ports=ports,
                state=state,
                nodes=nodes,
                bench=bench,
                queue=queue,
                locks=locks,
                sources=sources,
                enrolment=enrolment,
                replication=replication,
            )
        finally:
            queue.close()


def _replicate(scope: Scope, store: ReplicatedStore, nodes: Nodes, state: State, start: Revision) -> Replication:
    doubt = asyncio.Event()
    replication = Replication(store, nodes, lambda: state.picture, start=start, refused=lambda _: doubt.set())
    store.attach(replication)
    _ = scope.start(replication.run(), name="copy the store")
    _ = scope.start(_settle_doubts(doubt, replication, nodes, state), name="find out who is the master")
    return replication


async def _settle_doubts(doubt: asyncio.Event, replication: Replication, nodes: Nodes, state: State) -> None:
    """When a node obeys a newer master: is that one the master of more than half of the nodes?"""
    while True:
        await doubt.wait()
        picture = state.picture
        me = picture.nodes[picture.cluster.master_node].name
        votes = await election.ask(nodes.caller, [node for node in picture.nodes.values() if not node.offline])
        new = election.superseded_by(votes, me=me, epoch=state.epoch)
        if new is not None:
            log.error("another master rules", master=new)
            state.deposed.set()
            return
        answered = len(election.given(votes))
        if answered >= election.answers_needed(len(votes)):
            log.warning("a node obeys a failover that was not finished; restart ganeti-masterd to win it back")
            doubt.clear()
            replication.sure()
        await asyncio.sleep(1.0)


async def _fence(nodes: Nodes, state: State) -> set[Uuid]:
    """Tell every node the new epoch: from then on it refuses older masters. A silent one learns it at first contact.

    Returns the silent ones.
    """
    silent = set()
    online = sorted(node.uuid for node in state.picture.nodes.values() if not node.offline)
    for uuid, answer in (await nodes.call_each(dict.fromkeys(online, Ping()))).items():
        if isinstance(answer, GanetiError):
            log.warning("node does not know the new epoch yet", node=state.picture.nodes[uuid].name, cause=answer)
            silent.add(uuid)
    return silent


async def _end_when_deposed(state: State) -> None:
    """Whoever met it, a request that only wanted an answer too: there must not be two masters for long."""
    await state.deposed.wait()
    raise Deposed("another master has taken over from this one")


async def _pay_debts(nodes: Nodes) -> None:
    while True:
        await nodes.try_to_pay_all()
        await asyncio.sleep(DEBT_EVERY_S)


async def _archive_old(queue: Queue) -> None:
    while True:
        await asyncio.sleep(ARCHIVE_EVERY_S)
        try:
            archived, left = await queue.autoarchive(ARCHIVE_AFTER_S, keep=MOST_ENDED)
        except Unavailable as error:
            log.warning("jobs not archived", cause=error)
        else:
            if archived:
                log.info("jobs archived", archived=archived, left=left)

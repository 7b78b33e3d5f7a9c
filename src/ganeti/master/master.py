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
from ganeti.contract.store import Store
from ganeti.locks.manager import LockManager
from ganeti.locks.table import LockTable
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.queue import Archive, Queue
from ganeti.master.jobs.recover import recover
from ganeti.master.nodes import Caller, Nodes
from ganeti.master.sources import ArchiveReader, MasterSources
from ganeti.master.state import Deposed, State
from ganeti.model.traits import Catalog

log = Log(__name__)

DEBT_EVERY_S: Final = 60.0
ARCHIVE_EVERY_S: Final = 600.0
ARCHIVE_AFTER_S: Final = 6 * 3600.0


class FullArchive(Archive, ArchiveReader, Protocol):
    """What the master needs of the job archive."""


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


@asynccontextmanager
async def at_work(ports: Ports) -> AsyncIterator[Master]:
    """Take over, recover, and run jobs for as long as the context lasts.

    Leaving it stops running jobs where they are, as a crash would: the next master settles them. An error that
    ends the master (`Bug`, `Deposed`) comes out of the context in an exception group.
    """
    ops.load()
    state = State(ports.store)
    await state.load()
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
        await _fence(nodes, state)
        await recover(bench, queue)
        _ = scope.start(_pay_debts(nodes), name="pay debts")
        _ = scope.start(_archive_old(queue), name="archive old jobs")
        _ = scope.start(_end_when_deposed(state), name="end when deposed")
        log.info("master at work", epoch=state.epoch, instances=len(state.picture.instances), jobs=len(queue.jobs))
        try:
            yield Master(ports=ports, state=state, nodes=nodes, bench=bench, queue=queue, locks=locks, sources=sources)
        finally:
            queue.close()


async def _fence(nodes: Nodes, state: State) -> None:
    """Tell every node the new epoch: from then on it refuses older masters. A silent one learns it at first contact."""
    online = sorted(node.uuid for node in state.picture.nodes.values() if not node.offline)
    for uuid, answer in (await nodes.call_each(dict.fromkeys(online, Ping()))).items():
        if isinstance(answer, GanetiError):
            log.warning("node does not know the new epoch yet", node=state.picture.nodes[uuid].name, cause=answer)


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
            archived, left = await queue.autoarchive(ARCHIVE_AFTER_S)
        except Unavailable as error:
            log.warning("jobs not archived", cause=error)
        else:
            if archived:
                log.info("jobs archived", archived=archived, left=left)

"""Copy the store to the other master candidates as commits happen, so that one of them can become the master.

A commit is acknowledged when every candidate that keeps up has it. One that does not answer within a short limit falls
behind: commits do not wait for it any more until it has caught up, which is done in the background, with the changes it
missed or, if those are gone or its copy has another history, with the whole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from ganeti.base.errors import GanetiError, Refused, Unavailable
from ganeti.base.log import Log
from ganeti.base.tasks import Scope
from ganeti.contract.calls import Call
from ganeti.contract.calls.member import ReplicaState, StoreAppend, StoreSnapshot, StoreStateGet
from ganeti.contract.store import Change, Compacted, Entry, Revision, Snapshot, Store, Txn
from ganeti.master.nodes import Nodes, address_of
from ganeti.model.objects import Uuid
from ganeti.model.picture import Picture
from ganeti.store.replica import LINEAGE_KEY

log = Log(__name__)

R = TypeVar("R")

WAIT_S: Final = 2.0
"""How long a commit waits for a candidate."""

BEAT_S: Final = 3.0
"""How often a candidate that has everything is asked whether it still obeys; and one that is behind is tried again."""

KEEP_CHANGES: Final = 20_000
KEEP_BYTES: Final = 64 * 2**20
BATCH_CHANGES: Final = 1_000
BATCH_BYTES: Final = 8 * 2**20


class ReplicatedStore:
    """A `Store` whose commits return when the candidates have them. Before `attach` it is the local one alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._replication: Replication | None = None

    def attach(self, replication: Replication) -> None:
        """From now on commits wait for its candidates."""
        self._replication = replication

    async def read(self, prefix: str = "") -> Snapshot:
        """See `Store.read`."""
        return await self._store.read(prefix)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        return await self._store.get(key)

    async def commit(self, txn: Txn) -> Revision:
        """See `Store.commit`."""
        revision = await self._store.commit(txn)
        if self._replication is not None:
            await self._replication.until(revision)
        return revision

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Change]:
        """See `Store.watch`."""
        return self._store.watch(prefix, after=after)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()


class Peer:
    """One other candidate."""

    def __init__(self, node: Uuid, name: str) -> None:
        self.node, self.name = node, name
        self.revision = Revision(0)
        self.keeps_up = False
        self.trouble = "it has not been asked yet"
        self.progress: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def moved(self) -> None:
        """Wake those who wait for it."""
        if not self.progress.done():
            self.progress.set_result(None)
        self.progress = asyncio.get_running_loop().create_future()


class Replication:
    """The copies of one master. `refused(epoch)` is called when a candidate obeys a newer epoch."""

    def __init__(
        self,
        store: Store,
        nodes: Nodes,
        picture: Callable[[], Picture],
        *,
        start: Revision,
        refused: Callable[[int], None],
    ) -> None:
        self._store, self._nodes, self._picture, self._refused = store, nodes, picture, refused
        self._recent: deque[Change] = deque()
        self._recent_bytes = 0
        self._compacted = start
        """Changes up to this revision are not in `_recent`."""
        self._last = start
        self._fresh = asyncio.Event()
        self._lineage = ""
        self._sure = asyncio.Event()
        self._sure.set()
        self.peers: dict[Uuid, Peer] = {}
        self._tasks: dict[Uuid, asyncio.Task[None]] = {}

    async def until(self, revision: Revision) -> None:
        """Wait until every candidate that keeps up has that revision; one that does not in time falls behind.

        While it is not clear whether this is still the master, nothing is acknowledged.
        """
        await self._keep_up_to(revision)
        await self._sure.wait()

    async def _keep_up_to(self, revision: Revision) -> None:
        waiting = [peer for peer in self.peers.values() if peer.keeps_up and peer.revision < revision]
        if not waiting:
            return
        try:
            async with asyncio.timeout(WAIT_S):
                for peer in waiting:
                    while peer.keeps_up and peer.revision < revision:
                        await asyncio.shield(peer.progress)
        except TimeoutError:
            for peer in waiting:
                if peer.keeps_up and peer.revision < revision:
                    self._fall_behind(peer, f"it did not take revision {revision} within {WAIT_S:g} s")

    def sure(self) -> None:
        """It has been found out that this is still the master: commits are acknowledged again."""
        self._sure.set()

    def lagging(self) -> dict[str, str]:
        """Name to reason of the candidates whose copy is behind."""
        return {peer.name: peer.trouble for peer in self.peers.values() if not peer.keeps_up}

    async def run(self) -> None:
        """Without an end."""
        lineage = await self._store.get(LINEAGE_KEY)
        self._lineage = lineage.value.decode() if lineage is not None else ""
        async with Scope() as scope:
            _ = scope.start(self._watch(), name="watch the store")
            while True:
                self._meet(scope)
                await asyncio.sleep(0.25)

    def _meet(self, scope: Scope) -> None:
        """Have a task for each candidate that is online, and for nobody else."""
        picture = self._picture()
        master = picture.cluster.master_node
        wanted = {
            node.uuid: node.name
            for node in picture.nodes.values()
            if node.master_candidate and not node.offline and node.uuid != master
        }
        for uuid in [uuid for uuid in self.peers if uuid not in wanted]:
            peer = self.peers.pop(uuid)
            peer.keeps_up = False
            peer.moved()
            self._tasks.pop(uuid).cancel()
        for uuid, name in wanted.items():
            if uuid not in self.peers:
                self.peers[uuid] = Peer(uuid, name)
                self._tasks[uuid] = scope.start(self._serve(self.peers[uuid]), name=f"copy the store to {name}")

    async def _watch(self) -> None:
        while True:
            try:
                async for change in self._store.watch("", after=self._last):
                    self._recent.append(change)
                    self._recent_bytes += _size_bytes(change)
                    self._last = change.revision
                    while len(self._recent) > KEEP_CHANGES or (
                        self._recent_bytes > KEEP_BYTES and len(self._recent) > 1
                    ):
                        old = self._recent.popleft()
                        self._recent_bytes -= _size_bytes(old)
                        self._compacted = old.revision
                    self._wake()
            except Compacted:
                snapshot = await self._store.read(LINEAGE_KEY)
                self._recent.clear()
                self._recent_bytes = 0
                self._compacted = self._last = snapshot.revision

    def _wake(self) -> None:
        self._fresh.set()
        self._fresh = asyncio.Event()

    async def _serve(self, peer: Peer) -> None:
        while True:
            try:
                await self._catch_up(peer)
                await self._keep_up(peer)
            except GanetiError as error:
                newest = error.facts.get("newest_epoch")
                if isinstance(error, Refused) and isinstance(newest, int):
                    self._sure.clear()  # before those who wait for this candidate wake up
                    self._refused(newest)
                self._fall_behind(peer, error.message)
                await asyncio.sleep(BEAT_S)

    async def _catch_up(self, peer: Peer) -> None:
        state = await self._ask(peer, StoreStateGet())
        same_history = state.revision > 0 and state.lineage == self._lineage
        if not same_history or not self._compacted <= state.revision <= self._last:
            state = await self._send_whole(peer)
        peer.revision = state.revision
        while peer.revision < self._last:
            await self._send(peer)
        peer.keeps_up, peer.trouble = True, ""
        peer.moved()
        log.info("copy of the store is up to date", node=peer.name, revision=peer.revision)

    async def _keep_up(self, peer: Peer) -> None:
        while True:
            fresh = self._fresh
            if peer.revision >= self._last:
                try:
                    async with asyncio.timeout(BEAT_S):
                        await fresh.wait()
                except TimeoutError:
                    # Says that we are still there, and hears of a newer master.
                    state = await self._ask(peer, StoreStateGet())
                    if state.revision < peer.revision or state.lineage != self._lineage:
                        raise Unavailable(f"its copy went back to revision {state.revision}") from None
                    continue
            await self._send(peer)

    async def _send(self, peer: Peer) -> None:
        if peer.revision < self._compacted:
            raise Unavailable("what it misses is too long ago")
        batch: list[Change] = []
        size = 0
        skip = peer.revision - self._compacted
        for index in range(skip, len(self._recent)):
            change = self._recent[index]
            batch.append(change)
            size += _size_bytes(change)
            if len(batch) >= BATCH_CHANGES or size >= BATCH_BYTES:
                break
        if not batch:
            return
        state: ReplicaState = await self._ask(peer, StoreAppend(after=peer.revision, changes=tuple(batch)))
        if state.revision < batch[-1].revision:
            raise Unavailable(f"its copy is at revision {state.revision}, and not at {batch[-1].revision}")
        peer.revision = batch[-1].revision
        peer.moved()

    async def _send_whole(self, peer: Peer) -> ReplicaState:
        snapshot = await self._store.read()
        parts: list[dict[str, Entry]] = [{}]
        size = 0
        for key, entry in snapshot.entries.items():
            if size >= BATCH_BYTES:
                parts.append({})
                size = 0
            parts[-1][key] = entry
            size += len(key) + len(entry.value)
        state = ReplicaState(revision=Revision(0))
        for number, entries in enumerate(parts):
            last = number == len(parts) - 1
            call = StoreSnapshot(revision=snapshot.revision, part=number, last=last, entries=entries)
            state = await self._ask(peer, call)
        log.info("whole store copied", node=peer.name, revision=snapshot.revision, keys=len(snapshot.entries))
        if state.revision != snapshot.revision or state.lineage != self._lineage:
            raise Unavailable(f"its copy is at revision {state.revision} after it got the whole")
        return state

    async def _ask(self, peer: Peer, call: Call[R]) -> R:
        """Past its debts: to pay them takes commits, which wait for this very candidate."""
        node = self._picture().nodes.get(peer.node)
        if node is None:
            raise Unavailable(f"{peer.name} is no node any more")
        return await self._nodes.call_at(address_of(node), call)

    def _fall_behind(self, peer: Peer, why: str) -> None:
        if peer.keeps_up:
            log.warning("copy of the store falls behind", node=peer.name, cause=why)
        peer.keeps_up, peer.trouble = False, why
        peer.moved()


def _size_bytes(change: Change) -> int:
    return 100 + sum(len(key) + len(value or b"") for key, value in change.values.items())

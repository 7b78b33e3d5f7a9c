"""A simulated cluster: hosts, a network, what the store holds, and the master processes that come and go.

Everything follows from one seed. What a test looks at is read off the disks of hosts and store, not asked of a master.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec

from ganeti.base.clock import LoopClock
from ganeti.base.errors import GanetiError, Unavailable
from ganeti.base.ids import SeededIds
from ganeti.base.paths import Paths
from ganeti.base.tasks import Scope
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import Change
from ganeti.contract.wire import Address
from ganeti.main.catalog import build_catalog
from ganeti.master.jobs.records import job_key
from ganeti.master.master import Master, Ports
from ganeti.model.jobs import FINAL, Job, JobId
from ganeti.model.objects import Cluster, Group, Instance, Node, Stored, Uuid, key_of
from ganeti.store.archive import MemoryArchive
from ganeti.store.memory import Faults as StoreFaults
from ganeti.store.memory import MemoryDisk, MemoryStore
from ganeti.store.transaction import Effect
from ganeti.wire.client import NodeClient
from ganeti.wire.lost import ConnectionLost
from ganeti.wire.memory import Faults as WireFaults
from ganeti.wire.memory import MemoryNetwork
from sim.checkers import History
from sim.host import BRIDGE, SimHost
from sim.master import MasterProcess, SteppedCaller, SteppedStore

T = TypeVar("T")

MASTER_CERTIFICATE: Final = "ab" * 32


class World:
    """One cluster of `nodes` hosts. Made by `world`."""

    def __init__(self, seed: int, scope: Scope, *, nodes: int, capacity_mib: int, memory_mib: int) -> None:
        self.seed = seed
        self.clock = LoopClock()
        self.scope = scope
        self.catalog, self.addressing = build_catalog()
        self.history = History(self)
        self.trace: list[str] = []
        self.violations: list[str] = []
        self.process: MasterProcess | None = None
        """The master that was started last."""
        self.processes: list[MasterProcess] = []
        self.accepted: dict[JobId, None] = {}
        self.disk = _Disk(self.history.on_commit)
        self.store_faults = StoreFaults(self.rng("store"), commit_s=(0.0005, 0.01))
        self.network = MemoryNetwork(scope=scope, rng=self.rng("network"), faults=WireFaults(delay_s=0.0005))
        self.hosts: dict[str, SimHost] = {}
        self.stale_s = 20.0
        """How much later at most a message arrives whose sender has died or given up meanwhile."""
        self.has_rivals = False
        """Whether somebody who should not writes to the store: a master may then say so, and end."""
        self._archived: dict[int, tuple[float, bytes]] = {}
        self._wire_rng = self.rng("wire")
        self._make_cluster(nodes, capacity_mib, memory_mib)

    def rng(self, what: str) -> random.Random:
        """A stream of chance of its own: what one part draws does not shift what another gets."""
        return random.Random(f"{self.seed}/{what}")

    # -- what the world is told --------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A line for the trace."""
        self.trace.append(f"{asyncio.get_running_loop().time():.6f} {text}")

    def violated(self, sentence: str) -> None:
        """Something that must not be."""
        if self.has_rivals and "somebody else wrote" in sentence:
            self.note(f"as it should: {sentence}")
            return
        self.note(f"VIOLATED: {sentence}")
        self.violations.append(sentence)

    def fingerprint(self) -> str:
        """A hash of all that happened."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    # -- the master --------------------------------------------------------------------------------------

    async def start_master(self) -> MasterProcess:
        """Start one, next to those that run; it may be at work a while later."""
        process = MasterProcess(
            f"master-{len(self.processes) + 1}",
            self,
            open_store=lambda: MemoryStore.open(self.disk, faults=self.store_faults),
        )
        self.processes.append(process)
        self.process = process
        self.note(f"{process.life.name} starts")
        process.start(self.scope, self._ports)
        return process

    async def at_work(self, *, within_s: float = 7200.0) -> Master:
        """Wait until the newest master is at work, starting one when there is none."""
        async with asyncio.timeout(within_s):
            while True:
                process = self.process
                if process is None or process.ended or process.life.dead:
                    process = await self.start_master()
                if process.master is not None:
                    return process.master
                await asyncio.sleep(0.5)

    def _ports(self, process: MasterProcess, store: SteppedStore) -> Ports:
        ids = SeededIds(self.rng(process.life.name))
        wire = _Wire(self, process)

        def caller(cluster: str, epoch: int) -> SteppedCaller:
            client = NodeClient(wire, cluster_uuid=cluster, epoch=epoch, ids=ids, version="sim")
            return SteppedCaller(client, process)

        return Ports(
            store=store,
            archive=MemoryArchive(self._archived),
            caller=caller,
            clock=self.clock,
            ids=ids,
            catalog=self.catalog,
            addressing=self.addressing,
            paths=Paths(),
            version="sim",
        )

    # -- what clients do ---------------------------------------------------------------------------------

    async def ask(self, request: Callable[[Master], Awaitable[T]]) -> T:
        """A request to the newest master."""
        if self.process is None:
            raise Unavailable("there is no master")
        return await self.process.ask(request)

    async def submit(self, *ops: Mapping[str, Any]) -> JobId:
        """One job. Raises its refusal, or `Unavailable`: then it may have been accepted or not."""
        answers = await self.ask(lambda master: master.queue.submit([ops]))
        if isinstance(answers[0], GanetiError):
            raise answers[0]
        job = answers[0]
        self.note(f"job {job} accepted: {[op['OP_ID'] for op in ops]}")
        if job in self.accepted:
            self.violated(f"the id {job} was given to two jobs")
        self.accepted[job] = None
        return job

    async def ended(self, job: JobId, *, within_s: float = 7200.0) -> Job:
        """Wait for the end of a job, as the store tells it."""
        async with asyncio.timeout(within_s):
            while True:
                found = self.job(job)
                if found is not None and found.status in FINAL:
                    return found
                await asyncio.sleep(0.5)

    # -- what the store holds ----------------------------------------------------------------------------

    def job(self, job: JobId) -> Job | None:
        """One job as it is stored or archived."""
        entry = self.disk.entries.get(job_key(job))
        if entry is not None:
            return msgspec.json.decode(entry.value, type=Job)
        archived = self._archived.get(job)
        return None if archived is None else msgspec.json.decode(archived[1], type=Job)

    def jobs(self) -> list[Job]:
        """Every job that is not archived."""
        return [msgspec.json.decode(entry.value, type=Job) for entry in self._below("job/")]

    def instances(self) -> list[Instance]:
        """Every instance, by name."""
        found = [msgspec.json.decode(entry.value, type=Instance) for entry in self._below("instance/")]
        return sorted(found, key=lambda instance: instance.name)

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        return sorted(key for key in self.disk.entries if key.startswith(prefix))

    def host_of(self, instance: Instance) -> SimHost:
        """Where an instance lives."""
        return self.hosts[self._node_names[instance.primary_node]]

    def _below(self, prefix: str) -> Sequence[Any]:
        return [self.disk.entries[key] for key in self.keys(prefix)]

    # -- hosts -------------------------------------------------------------------------------------------

    def start_daemon(self, host: SimHost) -> None:
        """The node daemon of a host starts."""
        self.note(f"noded of {host.name} starts")
        host.start()

        async def serve(envelope: bytes, caller: str) -> bytes:
            answer = await host.serve(envelope, caller)
            self.history.on_deed(host)
            return answer

        self.network.attach(host.name, serve)

    def crash_daemon(self, host: SimHost) -> None:
        """The node daemon of a host is killed; its guests go on."""
        self.note(f"noded of {host.name} is killed")
        host.crash()
        self.network.kill(host.name)

    def cut_power(self, host: SimHost) -> None:
        """A host stops, with all its guests."""
        self.note(f"{host.name} loses power")
        self.history.excuse(*host.lose_power())
        self.network.kill(host.name)

    def _make_cluster(self, nodes: int, capacity_mib: int, memory_mib: int) -> None:
        ids = SeededIds(self.rng("cluster"))
        group = Group(uuid=Uuid(ids.uuid()), name="default")
        made = [
            Node(
                uuid=Uuid(ids.uuid()),
                name=f"node{number}.example.com",
                primary_ip=f"192.0.2.{number}",
                secondary_ip=f"192.0.2.{number}",
                group=group.uuid,
            )
            for number in range(1, nodes + 1)
        ]
        cluster = Cluster(
            uuid=Uuid(ids.uuid()),
            cluster_name="cluster.example.com",
            master_node=made[0].uuid,
            master_ip="192.0.2.100",
            master_netdev="lo",
            enabled_hypervisors=("fake",),
            enabled_disk_templates=("file", "diskless"),
            nicparams={"mode": "bridged", "link": BRIDGE},
        )
        everything: list[Stored] = [cluster, group, *made]
        _ = self.disk.apply({key_of(obj): msgspec.json.encode(obj) for obj in everything})
        self._node_names = {node.uuid: node.name for node in made}
        for node in made:
            settings = NodeSettings(
                cluster_uuid=cluster.uuid,
                cluster_name=cluster.cluster_name,
                node_uuid=node.uuid,
                node_name=node.name,
                master_name=made[0].name,
                host=node.primary_ip,
                callers=(MASTER_CERTIFICATE,),
            )
            self.hosts[node.name] = SimHost(
                settings,
                rng=self.rng(node.name),
                clock=self.clock,
                capacity_mib=capacity_mib,
                memory_mib=memory_mib,
            )


@asynccontextmanager
async def world(
    seed: int, *, nodes: int = 1, capacity_mib: int = 64 * 1024, memory_mib: int = 4096
) -> AsyncIterator[World]:
    """A cluster with its node daemons running, and no master yet. Bugs that anybody logs are violations."""
    async with Scope() as scope:
        made = World(seed, scope, nodes=nodes, capacity_mib=capacity_mib, memory_mib=memory_mib)
        for host in made.hosts.values():
            made.start_daemon(host)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, said: made.violated(f"nobody caught: {said.get('message')}: {said.get('exception')!r}")
        )
        watch = _BugWatch(made)
        logger = logging.getLogger("ganeti")
        propagates, logger.propagate = logger.propagate, False
        logger.addHandler(watch)
        try:
            yield made
        finally:
            logger.removeHandler(watch)
            logger.propagate = propagates
            for process in made.processes:
                process.kill()


class _Disk(MemoryDisk):
    """The store's disk; who looks on hears of every change, whoever made it and whether it was answered."""

    def __init__(self, on_commit: Callable[[Change], None]) -> None:
        super().__init__(shared=True)
        self._on_commit = on_commit

    def apply(self, changes: Effect) -> Change | None:
        """See `MemoryDisk.apply`."""
        change = super().apply(changes)
        if change is not None and change.revision > 1:
            self._on_commit(change)
        return change


class _Wire:
    """The wire of one master process: a message that was sent arrives, also when its sender is dead or has given up."""

    def __init__(self, of: World, process: MasterProcess) -> None:
        self._world = of
        self._process = process

    async def exchange(self, to: Address, envelope: bytes, *, timeout_s: float) -> bytes:
        """See `Wire.exchange`."""
        world, life = self._world, self._process.life
        life.check()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def carry() -> None:
            if life.dead:
                await asyncio.sleep(world._wire_rng.uniform(0, world.stale_s))
            try:
                said = await world.network.carry(to, envelope, source="master", certificate=MASTER_CERTIFICATE)
            except ConnectionLost as error:
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # the sender may have given up
            else:
                if not answer.done():
                    answer.set_result(said)

        _ = world.scope.start(carry(), name=f"message to {to.name}")
        self._process.step(f"while a message is on its way to {to.name}")
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise Unavailable(f"node {to.name} gave no answer within {timeout_s:g} s", node=to.name) from None
        finally:
            life.check()

    async def close(self) -> None:
        """See `Wire.close`."""


class _BugWatch(logging.Handler):
    def __init__(self, of: World) -> None:
        super().__init__(logging.ERROR)
        self._world = of

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, OSError):  # a disk that fails is a fault, not a bug
            self._world.violated(f"a bug was logged: {record.getMessage()}: {type(error).__name__}: {error}")

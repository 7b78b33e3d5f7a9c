"""A small cluster for tests of operations: real master, journal and node handlers; hosts, store and wire in memory.

`World.do` runs one job to its end. `World.crash` ends the master at a chosen deed, before or after it, and
`World.recover` is the next master. Guests are the fake hypervisor's, disks are files in memory.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from ganeti.base.clock import LoopClock
from ganeti.base.errors import Failed, GanetiError, Refused, Unavailable
from ganeti.base.ids import SeededIds
from ganeti.base.paths import Paths
from ganeti.base.tasks import Scope
from ganeti.contract.calls import Call, codec
from ganeti.contract.guest import AttachedDisk, Guest, GuestState
from ganeti.contract.operation import OpParams
from ganeti.contract.os import OsFound, Script
from ganeti.contract.wire import Address
from ganeti.drivers.hypervisor import fake
from ganeti.drivers.network.fake import FakeNetwork, FakeTaps
from ganeti.drivers.storage import diskless, file, sharedfile
from ganeti.locks.manager import LockManager
from ganeti.main.catalog import build_catalog
from ganeti.master.jobs.execute import Bench, Execution
from ganeti.master.jobs.queue import Queue
from ganeti.master.jobs.records import Tracked
from ganeti.master.jobs.recover import recover
from ganeti.master.nodes import Nodes
from ganeti.master.state import State
from ganeti.model.jobs import FINAL, Job, JobId, OpState
from ganeti.model.objects import Cluster, Disk, Group, Instance, Nic, Node, Stored, Uuid, key_of
from ganeti.model.picture import Picture
from ganeti.node.fence import Fence
from ganeti.node.handlers import load
from ganeti.node.host import Host
from ganeti.ops import load as load_operations
from ganeti.store.memory import MemoryDisk, MemoryStore
from sim.files import MemoryFiles
from sim.processes import FakeRunner

R = TypeVar("R")
DOMAIN = "example.com"
GROUP = Uuid("11111111-0000-4000-8000-000000000000")
DIRECTORY = "/srv/ganeti/file-storage"
SHARED = "/srv/ganeti/shared-file-storage"
LIMIT_S = 20.0


def uuid(kind: int, number: int) -> Uuid:
    """A UUID that tells apart at its beginning, as random ones do."""
    return Uuid(f"{kind:02x}{number:06x}-0000-4000-8000-000000000000")


NODE1, NODE2, NODE3 = (uuid(0xA0, number) for number in (1, 2, 3))


class ScriptedOs:
    """OS definitions that exist by name; `runs` records what their scripts were asked to do."""

    def __init__(self) -> None:
        self.found = {"tiny": OsFound(name="tiny", path="/os/tiny", variants=("default", "big"), api_versions=(20,))}
        self.runs: list[tuple[Script, Guest, dict[str, str], dict[str, str]]] = []
        self.fails: dict[str, str] = {}

    async def list(self) -> Sequence[OsFound]:
        """See `OsDefinitions.list`."""
        return [self.found[name] for name in sorted(self.found)]

    async def validate(
        self, os_name: str, params: Mapping[str, str], *, force_variant: bool = False, required: bool = True
    ) -> None:
        """See `OsDefinitions.validate`."""
        if os_name.partition("+")[0] not in self.found:
            raise Refused("unknown_entity", f"there is no OS '{os_name}' on this node")
        if "bad" in params:
            raise Refused("wrong_input", "OS parameter 'bad' is not known")

    async def run(
        self,
        script: Script,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        params: Mapping[str, str],
        extra_env: Mapping[str, str] | None = None,
        timeout_s: float = 3600.0,
    ) -> None:
        """See `OsDefinitions.run`."""
        self.runs.append((script, guest, dict(params), dict(extra_env or {})))
        if script in self.fails:
            raise Failed(self.fails[script])


class OtherVersion(fake.Driver):
    """The fake hypervisor with objections on demand."""

    objections: tuple[str, ...] = ()

    async def check(self, hvparams: dict[str, Any]) -> Sequence[str]:
        """See `Hypervisor.check`."""
        return self.objections


@dataclass
class SmallHost:
    """One host, with what tests reach into."""

    name: str
    shared: MemoryFiles
    files: MemoryFiles = field(default_factory=lambda: MemoryFiles(capacity_bytes=64 << 30))
    taps: FakeTaps = field(default_factory=FakeTaps)
    os: ScriptedOs = field(default_factory=ScriptedOs)

    def __post_init__(self) -> None:
        paths, clock = Paths(), LoopClock()
        self.hypervisor = OtherVersion(
            files=self.files, clock=clock, paths=paths, memory_total_mib=4096, memory_node_mib=0, cpu_total=8
        )
        self.network = FakeNetwork(self.taps, links=["xen-br0", "br1"])
        self.host = Host(
            name=self.name,
            version="4.0.0",
            boot_id=f"boot-{self.name}",
            paths=paths,
            files=self.files,
            clock=clock,
            runner=FakeRunner(),
            hypervisors={"fake": self.hypervisor},
            storages={
                "file": file.Driver(files=self.files, allowed_dirs=lambda: [DIRECTORY]),
                "sharedfile": sharedfile.Driver(files=self.shared, allowed_dirs=lambda: [SHARED]),
                "diskless": diskless.Driver(),
            },
            networks={"bridged": self.network},
            taps=self.taps,
            os=self.os,
            fence=Fence(files=self.files, path=paths.epoch),
        )

    def disks(self) -> list[str]:
        """The files of disks there are."""
        return [path for path in self.files.everything(DIRECTORY) if self.files.kind(path) == "file"]

    def guests(self) -> list[str]:
        """The names of guests there are."""
        return self.files.list_dir(f"{Paths().run}/fake-hypervisor")


class Caller:
    """Carries calls straight to the handlers; forgets nothing, and fails on demand."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers = load()
        self.deeds: list[tuple[str, Call[Any]]] = []
        self.asked: list[tuple[str, Call[Any]]] = []
        self.owed_at: list[list[str]] = []
        """For each deed the reversals that were durable when it came."""
        self.fails: dict[type[Call[Any]], GanetiError] = {}
        self.fail_at: int | None = None
        self.crash_at: tuple[int, bool] | None = None
        """(number of the deed, whether it is done before the master ends)"""
        self.crashed = asyncio.Event()

    async def call(self, address: Address, call: Call[R]) -> R:
        """See `master.nodes.Caller`."""
        host = self._world.hosts[address.name].host
        if address.name in self._world.silent:
            raise Unavailable(f"node {address.name} does not answer", node=address.name)
        decoded = codec.decode(codec.encode(call))
        handler = self._handlers[str(call.__struct_config__.tag)][1]
        if call.only_reads:
            self.asked.append((address.name, call))
            return await handler(host, decoded)  # type: ignore[no-any-return]
        number = len(self.deeds)
        self.deeds.append((address.name, call))
        self.owed_at.append(self._world.owed())
        at, done = self.crash_at or (-1, False)
        if number == at and not done:
            await self._end_of_master()
        if number == self.fail_at:
            raise Failed("told to fail")
        if type(call) in self.fails:
            raise self.fails[type(call)]
        answer = await handler(host, decoded)
        if number == at:
            await self._end_of_master()
        return answer  # type: ignore[no-any-return]

    async def _end_of_master(self) -> None:
        self.crashed.set()
        await asyncio.get_running_loop().create_future()


class NoArchive:
    """Nothing is archived here."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """See `master.jobs.queue.Archive`."""

    async def get(self, id: JobId) -> Job | None:
        """See `master.jobs.queue.Archive`."""
        return None


class World:
    """Three nodes of one group, without instances."""

    def __init__(self, *, nodes: int = 3, **cluster: Any) -> None:
        load_operations()
        self.catalog, self.addressing = build_catalog()
        self.disk = MemoryDisk(shared=True)
        shared = MemoryFiles()
        shared.make_dirs(SHARED)
        self.hosts: dict[str, SmallHost] = {}
        self.silent: set[str] = set()
        self.ids = SeededIds(random.Random(4))
        self.log: list[str] = []
        self.warnings: list[str] = []
        self.last_caller: Caller | None = None
        self.next_crash: tuple[int, bool] | None = None
        self.fail_at: int | None = None
        self.fails: dict[type[Call[Any]], GanetiError] = {}
        fields: dict[str, Any] = {
            "uuid": uuid(0xC0, 1),
            "cluster_name": f"cluster.{DOMAIN}",
            "master_node": NODE1,
            "master_ip": "192.0.2.1",
            "master_netdev": "eth0",
            "enabled_hypervisors": ("fake",),
            "enabled_disk_templates": ("file", "diskless", "sharedfile"),
            "file_storage_dir": DIRECTORY,
            "shared_file_storage_dir": SHARED,
        }
        self.put(Cluster(**(fields | cluster)), Group(uuid=GROUP, name="default"))
        for number in range(1, nodes + 1):
            name = f"node{number}.{DOMAIN}"
            self.hosts[name] = SmallHost(name, shared)
            self.hosts[name].files.make_dirs(DIRECTORY)
            address = f"192.0.2.1{number}"
            self.put(Node(uuid=uuid(0xA0, number), name=name, primary_ip=address, secondary_ip=address, group=GROUP))

    # -- what is there ---------------------------------------------------------------------------

    def put(self, *objects: Stored) -> None:
        """Write into the store from outside, while no master runs."""
        self.disk.apply({key_of(obj): msgspec.json.encode(obj) for obj in objects})

    @property
    def picture(self) -> Picture:
        """What the store holds."""
        kinds: dict[str, type[Stored]] = {"cluster": Cluster, "node": Node, "group": Group, "instance": Instance}
        objects = [
            msgspec.json.decode(entry.value, type=kinds[key.partition("/")[0]])
            for key, entry in self.disk.entries.items()
            if key.partition("/")[0] in kinds
        ]
        return Picture().with_changes(revision=self.disk.revision, put=objects)

    def instance(self, name: str) -> Instance:
        """As it is stored."""
        return self.picture.instance(name)

    def host(self, number: int = 1) -> SmallHost:
        """The host of a node."""
        return self.hosts[f"node{number}.{DOMAIN}"]

    def owed(self) -> list[str]:
        """The reversals that are durable now, by the tag of their call, oldest first."""
        undo = [entry.value for key, entry in sorted(self.disk.entries.items()) if key.startswith("undo/")]
        return [msgspec.json.decode(value)["call"]["call"] for value in undo]

    def debts(self) -> list[str]:
        """Keys of what nodes owe."""
        return [key for key in self.disk.entries if key.startswith("debt/")]

    async def add_instance(
        self,
        name: str = "web1",
        *,
        number: int = 1,
        sizes_mib: Sequence[int] = (64,),
        template: str = "file",
        running: bool = False,
        nics: int = 1,
        node: int = 1,
        **fields: Any,
    ) -> Instance:
        """An instance with real disks; `running`: its guest too."""
        full = f"{name}.{DOMAIN}"
        made = Instance(
            uuid=uuid(0x10, number),
            name=full,
            primary_node=uuid(0xA0, node),
            hypervisor="fake",
            os="tiny+default",
            disk_template=template if sizes_mib else "diskless",
            disks=tuple(self._disk(full, number, index, size, template) for index, size in enumerate(sizes_mib)),
            nics=tuple(
                Nic(uuid=uuid(0x20, number * 16 + index), mac=f"aa:00:00:00:{number:02x}:{index:02x}")
                for index in range(nics)
            ),
            admin_state="up" if running else "down",
            disks_active=running,
        )
        made = msgspec.structs.replace(made, **fields)
        self.put(made)
        host = self.host(node)
        for disk in made.disks:
            await host.host.storage(disk.dev_type).create(disk, None)  # type: ignore[arg-type]
        if running:
            await self.start_guest(made, node=node)
        return made

    def _disk(self, name: str, number: int, index: int, size_mib: int, template: str) -> Disk:
        identity = uuid(0x30, number * 16 + index)
        base = DIRECTORY if template == "file" else SHARED
        path = f"{base}/{name}/{identity}.{template}.disk{index}"
        return Disk(uuid=identity, dev_type=template, size=size_mib, logical_id=("loop", path))

    async def start_guest(self, instance: Instance, *, node: int = 1) -> None:
        """Behind the master's back."""
        guest = Guest(
            name=instance.name,
            uuid=instance.uuid,
            hypervisor="fake",
            hvparams={},
            maxmem_mib=128,
            minmem_mib=128,
            vcpus=1,
        )
        await self.host(node).hypervisor.start(guest, ())

    async def state(self, name: str = f"web1.{DOMAIN}", *, node: int = 1) -> GuestState | None:
        """What the hypervisor says of a guest."""
        return await self.host(node).hypervisor.state(name)

    # -- masters ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def master(self) -> AsyncIterator[tuple[Queue, Caller]]:
        """A master from its start to its sudden end."""
        state = State(await MemoryStore.open(self.disk))
        await state.load()
        caller = self.last_caller = Caller(self)
        caller.crash_at, self.next_crash = self.next_crash, None
        caller.fails = self.fails
        caller.fail_at, self.fail_at = self.fail_at, None
        nodes = Nodes(state, caller)
        nodes.load_debts()
        async with Scope() as scope:
            bench = Bench(
                state=state,
                nodes=nodes,
                clock=LoopClock(),
                ids=self.ids,
                catalog=self.catalog,
                addressing=self.addressing,
            )
            queue = Queue(bench, LockManager(), NoArchive(), scope)
            self._bench, self._queue = bench, queue
            await recover(bench, queue)
            yield queue, caller

    def execution(self, params: OpParams) -> Execution:
        """What an operation is given by the master that runs now, outside of a job."""
        op = OpState(input=msgspec.to_builtins(params))
        tracked = Tracked(job=Job(id=JobId(0), ops=(op,), received_timestamp=0.0))
        return Execution(self._bench, tracked, 0, self._queue)

    async def do(self, op_id: str, **params: Any) -> Job:
        """One operation as a job, run to its end."""
        return (await self.do_all([{"OP_ID": op_id, **params}]))[0]

    async def do_all(self, ops: Sequence[Mapping[str, Any]]) -> list[Job]:
        """One job for each operation, all at once, and whatever jobs they submit; all ended."""
        async with self.master() as (queue, _):
            ids = []
            for answer in await queue.submit([[dict(op)] for op in ops]):
                if isinstance(answer, GanetiError):
                    raise answer
                ids.append(answer)
            await self._settle(queue)
            self.submitted = [tracked.job for job, tracked in sorted(queue.jobs.items()) if job not in ids]
            return [queue.jobs[job].with_log() for job in ids]

    async def _settle(self, queue: Queue) -> None:
        async with asyncio.timeout(LIMIT_S):
            while open_ones := [each for each in queue.jobs.values() if each.job.status not in FINAL]:
                waiting = asyncio.get_running_loop().create_future()
                open_ones[0].watchers.append(waiting)
                await waiting

    async def done(self, op_id: str, **params: Any) -> Any:
        """As `do`; the result of an operation that must succeed."""
        job = await self.do(op_id, **params)
        assert job.status == "success", job.ops[0].result
        return job.ops[0].result

    async def refused(self, op_id: str, **params: Any) -> tuple[str, str]:
        """As `do`, for one that must be refused: (code, sentence). Nothing was done and nothing is changed."""
        before = self.picture
        job = await self.do(op_id, **params)
        assert job.status == "error", job.ops[0].result
        kind, (message, *code) = job.ops[0].result[:2]
        assert kind == "OpPrereqError", message
        assert self.deeds() == []
        after = self.picture
        assert (after.instances, after.nodes, after.cluster) == (before.instances, before.nodes, before.cluster)
        return str(code[0]), str(message)

    async def failed(self, op_id: str, **params: Any) -> str:
        """As `do`, for one that must fail: the sentence. No reversal is left to do."""
        job = await self.do(op_id, **params)
        assert job.status == "error", job.ops[0].result
        assert job.ops[0].result[0] == "OpExecError"
        assert self.owed() == []
        return str(job.ops[0].result[1][0])

    async def crash(self, op_id: str, *, at: int, done: bool, **params: Any) -> bool:
        """End the master at deed number `at`, before or after it is done. False: there is no such deed any more."""
        self.next_crash = (at, done)
        async with self.master() as (queue, caller):
            (job,) = await queue.submit([[{"OP_ID": op_id, **params}]])
            assert isinstance(job, int), job
            async with asyncio.timeout(LIMIT_S):
                while not caller.crashed.is_set() and queue.jobs[JobId(job)].job.status not in FINAL:
                    await asyncio.sleep(0)
            return caller.crashed.is_set()

    async def recover(self) -> list[Job]:
        """The next master; all jobs as they ended."""
        async with self.master() as (queue, _):
            await self._settle(queue)
            return [tracked.with_log() for tracked in queue.jobs.values()]

    def waiting(self) -> asyncio.Future[None]:
        """A future for the watchers of a job."""
        return asyncio.get_running_loop().create_future()

    def deeds(self) -> list[str]:
        """What the last master had done, by the tag of the call."""
        assert self.last_caller is not None
        return [str(call.__struct_config__.tag) for _, call in self.last_caller.deeds]

    def owed_at(self, deed: str) -> list[str]:
        """The reversals that were durable when the first deed of that tag came."""
        assert self.last_caller is not None
        return self.last_caller.owed_at[self.deeds().index(deed)]


def said(job: Job, kind: str = "message") -> list[str]:
    """The lines of a job's log."""
    return [entry.text for op in job.ops for entry in op.log if entry.kind == kind]

"""A private cluster of one node below a root of its own: made, filled, asked, measured."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from ganeti.base.clock import SystemClock
from ganeti.base.files import SystemFiles
from ganeti.base.ids import SystemIds
from ganeti.base.paths import Paths
from ganeti.client.master import Master
from ganeti.contract.guest import Guest
from ganeti.contract.store import Txn
from ganeti.drivers.hypervisor import fake
from ganeti.main.daemon import running_pid
from ganeti.model.objects import Instance, Uuid, key_of
from ganeti.store.sqlite import SqliteStore

BIN: Final = os.path.dirname(sys.executable)
MEMORY_MIB: Final = 1
"""Of one instance: the node need not really have it, but creations ask for room."""


class Cluster:
    """A cluster at `root`, on this host under the name `node`."""

    def __init__(self, root: str, *, name: str, node: str) -> None:
        self.paths = Paths(root)
        self.name, self.node = name, node
        self._made = 0
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "GANETI_ROOTDIR": root,
            "GANETI_HOSTNAME": node,
            "LANG": "C.UTF-8",
        }

    def make(self, *, bridge: str, hypervisor: str) -> None:
        """`gnt-cluster init`, and one instance as the pattern of all others."""
        os.makedirs(self.paths.root)
        self.run(
            *["gnt-cluster", "init", f"--enabled-hypervisors={hypervisor}", "--enabled-disk-templates=diskless,file"],
            *[f"--nic-parameters=link={bridge}", f"--backend-parameters=minmem={MEMORY_MIB},maxmem={MEMORY_MIB}"],
            *["--ipolicy-bounds-specs", _BOUNDS, "--no-ssh-init", self.name],
        )

    def run(self, *argv: str) -> str:
        """Run one of the commands and return its output; it must succeed."""
        done = subprocess.run(argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return done.stdout

    def client(self) -> Master:
        """A client of the master in this process."""
        return Master(self.paths.master_socket, self.paths.node_settings)

    def creation(self, **more: Any) -> dict[str, Any]:
        """The operation that makes one further instance: diskless, nothing installed, started."""
        self._made += 1
        operation: dict[str, Any] = {
            "OP_ID": "OP_INSTANCE_CREATE",
            "instance_name": f"new{self._made}.bench.example",
            "mode": "create",
            "disk_template": "diskless",
            "disks": [],
            "nics": [{}],
            "os_type": None,
            "pnode": self.node,
            "no_install": True,
            "name_check": False,
            "ip_check": False,
        }
        return operation | more

    def fill(self, count: int) -> None:
        """Put that many running instances in: into the store while no master runs, and among the fake guests."""
        operation = self.creation(start=False)
        with closing(self.client()) as client:
            wait_for([operation], client)
        self.run("ganeti-daemons", "stop")
        asyncio.run(_fill(self.paths, operation["instance_name"], count))
        self.run("ganeti-daemons", "start")
        with closing(self.client()) as client:
            running = client.values("instance", ["name"], qfilter=["=", "status", "running"])
        if len(running) != count:
            raise RuntimeError(f"of {count} instances {len(running)} are seen to run")

    def memory_mib(self, daemon: str) -> float:
        """Resident memory of a daemon."""
        pid = running_pid(self.paths, daemon)
        if pid is None:
            raise RuntimeError(f"{daemon} does not run")
        return resident_mib(pid)


def wait_for(operations: Sequence[dict[str, Any]], client: Master) -> None:
    """Hand in one job and see it end well."""
    status = final_status(operations, client)
    if status != "success":
        raise RuntimeError(f"a job ended as {status}")


def final_status(operations: Sequence[dict[str, Any]], client: Master) -> str:
    """Hand in one job and return how it ended."""
    job = client.submit_one(operations)
    news = client.follow(job, lambda *_: None)
    return str(news["status"])


@contextmanager
def closing(client: Master) -> Iterator[Master]:
    """Hang up afterwards."""
    try:
        yield client
    finally:
        client.close()


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        [line] = [line for line in file if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


class _Quick(SystemFiles):
    """Files whose writes need not survive a power failure."""

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        with open(path, "wb") as file:
            file.write(data)


async def _fill(paths: Paths, pattern_name: str, count: int) -> None:
    ids = SystemIds()
    store = await SqliteStore.open(paths.store, create=False)
    try:
        found = (await store.read("instance/")).entries
        [pattern] = [each for each in map(_instance, found.values()) if each.name == pattern_name]
        instances = [_copy(pattern, number, ids) for number in range(count)]
        await store.commit(Txn(delete=frozenset({key_of(pattern)})))
        for start in range(0, count, 100):
            await store.commit(Txn(put={key_of(each): _encoded(each) for each in instances[start : start + 100]}))
    finally:
        await store.close()
    driver = fake.Driver(files=_Quick(), clock=SystemClock(), paths=paths)
    for each in instances:
        await driver.start(
            Guest(
                name=each.name,
                uuid=each.uuid,
                hypervisor=fake.NAME,
                hvparams={},
                minmem_mib=MEMORY_MIB,
                maxmem_mib=MEMORY_MIB,
                vcpus=1,
            ),
            [],
        )


def _copy(pattern: Instance, number: int, ids: SystemIds) -> Instance:
    mac = ":".join(f"{byte:02x}" for byte in (0xAA, 0, 1, *number.to_bytes(3, "big")))
    nics = tuple(msgspec.structs.replace(nic, uuid=Uuid(ids.uuid()), mac=mac) for nic in pattern.nics)
    name = f"web{number}.bench.example"
    return msgspec.structs.replace(pattern, uuid=Uuid(ids.uuid()), name=name, nics=nics, admin_state="up")


def _instance(entry: Any) -> Instance:
    return msgspec.json.decode(entry.value, type=Instance)


def _encoded(instance: Instance) -> bytes:
    return msgspec.json.encode(instance)


_BOUNDS: Final = (
    f"min:memory-size={MEMORY_MIB},cpu-count=1,disk-count=0,disk-size=1,nic-count=0,spindle-use=1;"
    "max:memory-size=32768,cpu-count=8,disk-count=16,disk-size=1048576,nic-count=8,spindle-use=12"
)

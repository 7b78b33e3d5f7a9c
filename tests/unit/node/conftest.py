"""A host with fake guests and links, and real files in a directory of the test."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ganeti.base.clock import SystemClock
from ganeti.base.files import SystemFiles
from ganeti.base.ids import SeededIds
from ganeti.base.paths import Paths
from ganeti.base.processes import SystemRunner
from ganeti.contract.calls import Call, Envelope
from ganeti.contract.guest import Guest, GuestNic
from ganeti.contract.settings import NodeSettings
from ganeti.drivers.hypervisor import fake
from ganeti.drivers.network.fake import FakeNetwork, FakeTaps
from ganeti.drivers.os.definitions import Definitions
from ganeti.drivers.storage import file
from ganeti.model.objects import Disk, Uuid
from ganeti.node.fence import Fence
from ganeti.node.host import Host
from ganeti.node.serve import NodeServer

CLUSTER = "c0ffee00-0000-4000-8000-000000000000"
MASTER = "ab" * 32


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(str(tmp_path / "root"))
    for directory in (made.data, made.run, made.log):
        Path(directory).mkdir(parents=True)
    return made


@pytest.fixture
def host(paths: Paths) -> Host:
    files, clock, runner, taps = SystemFiles(), SystemClock(), SystemRunner(), FakeTaps()
    return Host(
        name="node1.example.com",
        version="4.0.0",
        boot_id="boot-1",
        paths=paths,
        files=files,
        clock=clock,
        runner=runner,
        hypervisors={"fake": fake.Driver(files=files, clock=clock, paths=paths)},
        storages={"file": file.Driver(files=files, allowed_dirs=lambda: [f"{paths.root}/disks"])},
        networks={"bridged": FakeNetwork(taps, links=["br0"])},
        taps=taps,
        os=Definitions(
            runner=runner,
            files=files,
            clock=clock,
            search_path=[f"{paths.root}/os"],
            log_dir=f"{paths.log}/os",
        ),
        fence=Fence(files=files, path=paths.epoch),
    )


@pytest.fixture
def settings() -> NodeSettings:
    return NodeSettings(
        cluster_uuid=CLUSTER,
        cluster_name="cluster.example.com",
        node_uuid="node-1",
        node_name="node1.example.com",
        master_name="node1.example.com",
        host="127.0.0.1",
        callers=(MASTER,),
    )


@pytest.fixture
def server(host: Host, settings: NodeSettings) -> NodeServer:
    return NodeServer(host, settings=settings)


@pytest.fixture
def disk(paths: Paths) -> Callable[[int], Disk]:
    ids = SeededIds(random.Random(7))
    made: dict[int, Disk] = {}

    def make(index: int) -> Disk:
        if index not in made:
            uuid = ids.uuid()
            path = f"{paths.root}/disks/web1/{uuid}.file.disk{index}"
            made[index] = Disk(uuid=Uuid(uuid), dev_type="file", size=2, logical_id=("loop", path))
        return made[index]

    return make


@pytest.fixture
def guest(disk: Callable[[int], Disk]) -> Guest:
    return Guest(
        name="web1.example.com",
        uuid="11111111-2222-4333-8444-555555555555",
        hypervisor="fake",
        hvparams={"migration_mode": "live"},
        maxmem_mib=128,
        minmem_mib=128,
        vcpus=1,
        os="touch",
        disk_template="file",
        disks=(disk(0), disk(1)),
        nics=(GuestNic(index=0, uuid="nic-0", mac="aa:00:00:00:00:01", mode="bridged", link="br0"),),
    )


@pytest.fixture
def envelope() -> Callable[..., bytes]:
    ids = SeededIds(random.Random(1))

    def wrap(
        call: Call[Any] | bytes,
        *,
        epoch: int = 1,
        cluster: str = CLUSTER,
        call_id: str | None = None,
        version: str = "4.0.0",
    ) -> bytes:
        raw = call if isinstance(call, bytes) else msgspec.json.encode(call)
        return msgspec.json.encode(
            Envelope(
                cluster=cluster,
                epoch=epoch,
                call_id=ids.uuid() if call_id is None else call_id,
                call=msgspec.Raw(raw),
                version=version,
            )
        )

    return wrap

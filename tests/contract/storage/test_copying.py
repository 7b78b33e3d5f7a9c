"""A disk is copied to another node over TLS, and only by the node that was asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.ids import SystemIds
from ganeti.base.paths import Paths
from ganeti.base.processes import SystemRunner
from ganeti.contract.guest import AttachedDisk
from ganeti.drivers.storage.copying import Copier
from ganeti.model.objects import Disk, Uuid
from ganeti.wire import certificates
from ganeti.wire.certificates import KeyPair

SIZE = 32 << 20
UUID = "11111111-2222-4333-8444-555555555555"

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-storage-daemon") is None or shutil.which("qemu-img") is None,
    reason="qemu-utils is not installed",
)


def new_ca() -> KeyPair:
    return certificates.make_ca(
        cluster_name="cluster.example.com", serial=certificates.fresh_serial(SystemIds()), now_s=time.time()
    )


class Place:
    """One host."""

    def __init__(self, root: Path, name: str, ca: KeyPair) -> None:
        self.paths = Paths(str(root))
        Path(self.paths.data).mkdir(parents=True)
        self.file = root / "disk"
        self.copier = Copier(files=SystemFiles(), runner=SystemRunner(), paths=self.paths)
        self.certify(ca, name)

    def certify(self, ca: KeyPair, name: str, *, trusts: KeyPair | None = None) -> None:
        node = certificates.make_node(
            ca,
            node_name=name,
            addresses=["127.0.0.1"],
            serial=certificates.fresh_serial(SystemIds()),
            now_s=time.time(),
        )
        Path(self.paths.node_certificate).write_bytes(node.pem)
        Path(self.paths.ca_certificate).write_bytes((trusts or ca).certificate)

    @property
    def disk(self) -> AttachedDisk:
        disk = Disk(uuid=Uuid(UUID), dev_type="file", size=SIZE >> 20)
        return AttachedDisk(disk=disk, index=0, path=str(self.file))

    def left(self) -> list[str]:
        return os.listdir(f"{self.paths.run}/disk-copies")


@pytest.fixture
def ca() -> KeyPair:
    return new_ca()


@pytest.fixture
def places(ca: KeyPair) -> Iterator[tuple[Place, Place]]:
    with tempfile.TemporaryDirectory(prefix="gt") as root:
        source = Place(Path(root) / "a", "node1.example.com", ca)
        target = Place(Path(root) / "b", "node2.example.com", ca)
        source.file.write_bytes(os.urandom(1 << 20) + bytes(SIZE - (1 << 20)))
        with target.file.open("wb") as file:
            file.truncate(SIZE)
        yield source, target


async def test_a_disk_arrives_whole_and_zeros_take_no_room(places: tuple[Place, Place]) -> None:
    source, target = places
    landing = await target.copier.serve(target.disk, address="127.0.0.1", peer="node1.example.com")
    try:
        await source.copier.send(source.disk, msgspec.structs.replace(landing, name="node2.example.com"), within_s=60)
    finally:
        await target.copier.end(UUID)
    assert target.file.read_bytes() == source.file.read_bytes()
    assert target.file.stat().st_blocks * 512 < 4 << 20
    assert (source.left(), target.left()) == ([], [])
    await target.copier.end(UUID)


@pytest.mark.parametrize("who", ["another node", "another cluster", "another target"])
async def test_nobody_else_is_let_in(places: tuple[Place, Place], ca: KeyPair, who: str) -> None:
    source, target = places
    name = "node2.example.com"
    if who == "another node":
        source.certify(ca, "node3.example.com")
    elif who == "another cluster":
        source.certify(new_ca(), "node1.example.com", trusts=ca)
    else:
        name = "node3.example.com"
    landing = await target.copier.serve(target.disk, address="127.0.0.1", peer="node1.example.com")
    try:
        with pytest.raises(Failed, match="cannot copy disk"):
            await source.copier.send(source.disk, msgspec.structs.replace(landing, name=name), within_s=60)
    finally:
        await target.copier.end(UUID)
    assert target.file.read_bytes() == bytes(SIZE)
    assert (source.left(), target.left()) == ([], [])


async def test_a_port_that_is_taken_is_passed_over(places: tuple[Place, Place]) -> None:
    source, target = places
    first = await target.copier.serve(target.disk, address="127.0.0.1", peer="node1.example.com")
    second = await source.copier.serve(source.disk, address="127.0.0.1", peer="node2.example.com")
    assert second.port > first.port
    await target.copier.end(UUID)
    await source.copier.end(UUID)

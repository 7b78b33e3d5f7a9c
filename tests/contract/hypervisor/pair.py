"""Two hosts for the tests of migration: two run directories on this machine, each with a certificate of one cluster.

Taps are named after the guest, so on one network only one of two hosts can have it: these guests have no NIC.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ganeti.base.ids import SystemIds
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.migration import OVER, Landing, Moving, Pace, Progress
from ganeti.drivers.hypervisor import kvm
from ganeti.drivers.hypervisor.kvm.runtime import Runtime
from ganeti.wire import certificates
from ganeti.wire.certificates import KeyPair
from tests.contract.hypervisor.worlds import KvmWorld, _disk

TINY = Path(__file__).resolve().parents[3] / "os" / "tiny"
NAMES = ("node1.example.com", "node2.example.com")
FAST = Pace(bandwidth_mib_s=1000, downtime_ms=300)


def new_ca() -> KeyPair:
    ids = SystemIds()
    return certificates.make_ca(
        cluster_name="cluster.example.com", serial=certificates.fresh_serial(ids), now_s=time.time()
    )


class MigrationHost(KvmWorld):
    """One of the two."""

    def __init__(self, root: Path, name: str, ca: KeyPair) -> None:
        super().__init__(root)
        self.name = name
        Path(self.paths.data).mkdir(parents=True)
        self.certify(ca)

    def certify(self, ca: KeyPair, name: str | None = None, *, trusts: KeyPair | None = None) -> None:
        """Give it a certificate of that authority, in its own name or another's."""
        node = certificates.make_node(
            ca,
            node_name=name or self.name,
            addresses=["127.0.0.1"],
            serial=certificates.fresh_serial(SystemIds()),
            now_s=time.time(),
        )
        Path(self.paths.node_certificate).write_bytes(node.pem)
        Path(self.paths.ca_certificate).write_bytes((trusts or ca).certificate)

    def runtime(self, guest: Guest) -> Runtime:
        return msgspec.json.decode(Path(self.places.runtime(guest.name)).read_bytes(), type=Runtime)


class Pair:
    """Source and target."""

    def __init__(self, root: Path) -> None:
        self.ca = new_ca()
        self.hosts = [MigrationHost(root / letter, name, self.ca) for letter, name in zip("ab", NAMES, strict=True)]
        self.drivers: list[kvm.Driver] = [host.driver() for host in self.hosts]
        self.source, self.target = self.drivers
        self.shared = root / "s"
        self.shared.mkdir()

    def guest(self, **changes: Any) -> Guest:
        return self.hosts[0].guest("web1.example.com", nics=(), **changes)

    def tiny(self, boot: Path, **changes: Any) -> Guest:
        """A guest with a shell on its serial console."""
        hvparams = {
            "kernel_path": str(boot / "vmlinuz"),
            "initrd_path": str(boot / "initrd.img"),
            "kernel_args": "ro quiet tsc=reliable mitigations=off",
        }
        return self.guest(maxmem_mib=128, hvparams=hvparams | changes.pop("hvparams", {}), **changes)

    def shared_disks(self, guest: Guest) -> list[AttachedDisk]:
        """Both hosts see the same file."""
        (disk,) = self.hosts[0].disks(guest)
        return [msgspec.structs.replace(disk, disk=msgspec.structs.replace(disk.disk, dev_type="sharedfile"))]

    def local_disks(self, guest: Guest, size_mib: int = 64) -> list[list[AttachedDisk]]:
        """A disk on the source, and an empty one as large on the target."""
        disk = msgspec.structs.replace(_disk(guest.name), size=size_mib)
        result = []
        for host in self.hosts:
            path = host.root / f"{guest.name}.local"
            with path.open("wb") as file:
                file.truncate(size_mib << 20)
            result.append([AttachedDisk(disk=disk, index=0, path=str(path))])
        return result

    async def receive(
        self, guest: Guest, disks: list[AttachedDisk], *, copies: bool = False, pace: Pace = FAST
    ) -> tuple[Moving, Landing]:
        moving = await self.source.moving(guest)
        landing = await self.target.receive(
            moving, disks, address="127.0.0.1", peer=NAMES[0], copies_disks=copies, pace=pace
        )
        return moving, msgspec.structs.replace(landing, name=NAMES[1])

    async def sent(self, guest: Guest, *, limit_s: float = 120.0) -> Progress:
        """Until it is over on the source."""
        end_s = time.monotonic() + limit_s
        while True:
            progress = await self.source.watch(guest, within_s=1.0)
            if progress.phase in OVER:
                return progress
            assert time.monotonic() < end_s, progress

    async def migrate(
        self, guest: Guest, disks: list[AttachedDisk], *, copies: bool = False, pace: Pace = FAST
    ) -> Progress:
        """The whole way."""
        _, landing = await self.receive(guest, disks, copies=copies, pace=pace)
        await self.source.send(guest, landing, pace)
        progress = await self.sent(guest)
        assert progress.phase == "completed", progress
        await self.target.finish(guest)
        await self.source.leave(guest)
        return progress

    async def states(self, guest: Guest) -> list[tuple[str, str] | None]:
        """(status, migration) on both."""
        found = [await driver.state(guest.name) for driver in self.drivers]
        return [(state.status, state.migration) if state is not None else None for state in found]

    def close(self) -> None:
        for host in self.hosts:
            host.close()


def tiny_boot(folder: Path) -> Path:
    """Kernel and initrd of the OS tiny, or a skip where they cannot be had."""
    cache = os.environ.get("TINY_CACHE_DIR", "/var/cache/ganeti-os-tiny")
    env = {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "TINY_CACHE_DIR": cache, "TINY_BOOT_DIR": str(folder)}
    done = subprocess.run([TINY / "prepare"], env=env, capture_output=True, timeout=900, check=False)
    if done.returncode != 0 or shutil.which("qemu-system-x86_64") is None:
        pytest.skip(f"no kernel for real guests: {done.stderr.decode()[-300:]}")
    return Path(done.stdout.decode().strip())

"""The drivers of disks in files, on the real file system and on the one in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ganeti.base.files import Files, SystemFiles
from ganeti.contract.storage import Addressing, DiskPlace, Owner, Storage
from ganeti.drivers.storage import file, sharedfile
from ganeti.model.objects import Cluster, Disk, Uuid
from sim.files import MemoryFiles

DISK_UUID = "d7ebd143-047c-480e-b400-9c159b9ccb92"


@dataclass
class Place:
    """One driver on one file system, with a cluster that keeps its disks there."""

    template: str
    files: Files
    root: str
    driver: Storage
    addressing: Addressing
    cluster: Cluster
    allowed: list[str]

    @property
    def base(self) -> str:
        return self.addressing.location(self.cluster)

    def disk(self, size_mib: int = 8, *, instance: str = "web1", index: int = 0, directory: str | None = None) -> Disk:
        place = DiskPlace(
            cluster=self.cluster,
            instance_name=instance,
            disk_uuid=DISK_UUID,
            index=index,
            file_storage_dir=directory,
        )
        address = self.addressing.logical_id(place)
        return Disk(uuid=Uuid(DISK_UUID), dev_type=self.template, size=size_mib, logical_id=address)

    def at(self, path: str, size_mib: int = 8) -> Disk:
        """A disk at a path that no master would choose."""
        return Disk(uuid=Uuid(DISK_UUID), dev_type=self.template, size=size_mib, logical_id=("loop", path))

    def tree(self, below: str | None = None) -> list[str]:
        """Everything below a directory, as paths relative to it."""
        below = below if below is not None else self.root
        found = []
        for name in self.files.list_dir(below):
            found.append(name)
            if self.files.kind(f"{below}/{name}") == "directory":
                found += [f"{name}/{deeper}" for deeper in self.tree(f"{below}/{name}")]
        return found


OWNER = Owner(instance_name="web1", instance_uuid="b164ba2e-666e-498a-9767-c7d47a233b95")


def build_cluster(root: str) -> Cluster:
    return Cluster(
        uuid=Uuid("c"),
        cluster_name="c.example",
        master_node=Uuid("n"),
        master_ip="10.0.0.1",
        master_netdev="lo",
        enabled_hypervisors=("fake",),
        enabled_disk_templates=("file", "sharedfile"),
        file_storage_dir=f"{root}/file-storage",
        shared_file_storage_dir=f"{root}/shared-file-storage",
    )


@pytest.fixture(params=["file", "sharedfile"])
def template(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["system", "memory"])
def place(request: pytest.FixtureRequest, template: str, tmp_path: Path) -> Place:
    return build_place(template, SystemFiles() if request.param == "system" else MemoryFiles(), str(tmp_path))


@pytest.fixture
def small(template: str) -> Place:
    """A host whose file system has room for 20 MiB, and which can be made to fail."""
    return build_place(template, MemoryFiles(capacity_bytes=20 << 20), "/srv/ganeti")


def build_place(template: str, files: Files, root: str) -> Place:
    files.make_dirs(root)
    cluster = build_cluster(root)
    module = file if template == "file" else sharedfile
    allowed = [module.ADDRESSING.location(cluster)]
    driver = module.Driver(files=files, allowed_dirs=lambda: allowed)
    return Place(template, files, root, driver, module.ADDRESSING, cluster, allowed)

"""Drivers are found by their path, and the master pays for none of their libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.contract.settings import NodeSettings
from ganeti.main.catalog import allowed_dirs, build_catalog, build_host

LIBRARIES = ("aiohttp", "cryptography", "pyroute2", "qemu")


@pytest.fixture
def settings() -> NodeSettings:
    return NodeSettings(
        cluster_uuid="c",
        cluster_name="cluster.example.com",
        node_uuid="n",
        node_name="node1.example.com",
        master_name="node1.example.com",
        host="127.0.0.1",
        file_storage_dirs=("/srv/of-the-cluster", "/srv/both"),
    )


def test_every_driver_is_in_the_catalog_under_its_own_name():
    catalog, addressing = build_catalog()
    assert {"fake", "kvm"} <= set(catalog.hypervisors)
    assert {"diskless", "file", "sharedfile"} <= set(catalog.storages)
    assert "bridged" in catalog.networks
    assert set(addressing) == set(catalog.storages)
    assert all(name == traits.name for name, traits in catalog.hypervisors.items())
    assert all(name == traits.template for name, traits in catalog.storages.items())
    assert all(name == traits.mode for name, traits in catalog.networks.items())


def test_the_catalog_loads_no_library_of_the_drivers():
    program = (
        "import sys; from ganeti.main.catalog import build_catalog; build_catalog();"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_host_has_a_driver_for_everything_in_the_catalog(tmp_path: Path, settings: NodeSettings):
    catalog, _ = build_catalog()
    host = build_host(Paths(str(tmp_path)), settings, version="4.0")
    assert set(host.hypervisors) == set(catalog.hypervisors)
    assert set(host.storages) == set(catalog.storages)
    assert set(host.networks) == set(catalog.networks)
    assert (host.name, host.version, host.fence.epoch) == ("node1.example.com", "4.0", 0)
    assert len(host.boot_id) == 36


def test_the_operators_list_and_the_clusters_directories_may_hold_disks(tmp_path: Path, settings: NodeSettings):
    path = tmp_path / "file-storage-paths"
    assert allowed_dirs(SystemFiles(), str(path), settings) == ("/srv/of-the-cluster", "/srv/both")
    path.write_text("# disks\n\n/srv/mine/  # fast ones\n/srv/both\n")
    found = allowed_dirs(SystemFiles(), str(path), settings)
    assert found == ("/srv/mine", "/srv/both", "/srv/of-the-cluster")


def test_a_line_of_the_list_that_is_no_absolute_path_is_named(tmp_path: Path, settings: NodeSettings):
    path = tmp_path / "file-storage-paths"
    path.write_text("srv/mine\n")
    with pytest.raises(Failed, match=r"file-storage-paths: 'srv/mine' is not an absolute path"):
        allowed_dirs(SystemFiles(), str(path), settings)

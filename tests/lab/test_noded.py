"""The node daemon as a process: real certificates, real TLS, real files below a root of its own."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from ganeti.base.errors import Refused, Unavailable
from ganeti.base.ids import SystemIds
from ganeti.base.paths import Paths
from ganeti.contract.calls.disk import DiskCreate, DiskSizesGet
from ganeti.contract.calls.instance import GuestStatesGet, InstanceStart, InstanceStop
from ganeti.contract.calls.node import NodeDelay, NodeFactsGet, NodeInventoryGet, NodeLeave, Ping, StorageAt
from ganeti.contract.guest import Guest
from ganeti.contract.settings import NodeSettings
from ganeti.contract.storage import Owner
from ganeti.contract.wire import Address
from ganeti.main.daemon import running_pid
from ganeti.model.objects import Disk, Uuid
from ganeti.wire import certificates
from ganeti.wire.client import NodeClient
from ganeti.wire.tls import TlsWire

PATIENCE_S = 60.0
NAME = "node1.example.com"


class Noded:
    """A node in a directory, and the daemon on it."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(str(root))
        self.disks = f"{root}/disks"
        self.process: subprocess.Popen[str] | None = None
        self._ids = SystemIds()
        for directory in (self.paths.data, self.paths.etc):
            Path(directory).mkdir(parents=True)
        Path(self.paths.etc, "file-storage-paths").write_text(f"# ours\n{self.disks}\n")
        self.ca = certificates.make_ca(cluster_name="c1", serial=self._serial(), now_s=time.time())
        self.certificate = self.certify()
        self.settings = NodeSettings(
            cluster_uuid="cluster-1",
            cluster_name="cluster.example.com",
            node_uuid="node-1",
            node_name=NAME,
            master_name=NAME,
            host="127.0.0.1",
            port=free_port(),
            callers=(self.certificate,),
        )
        self.write_settings()

    def certify(self) -> str:
        pair = certificates.make_node(
            self.ca, node_name=NAME, addresses=["127.0.0.1"], serial=self._serial(), now_s=time.time()
        )
        Path(self.paths.ca_certificate).write_bytes(self.ca.certificate)
        Path(self.paths.node_certificate).write_bytes(pair.pem)
        return certificates.fingerprint(pair.certificate)

    def write_settings(self) -> None:
        Path(self.paths.node_settings).write_bytes(msgspec.json.encode(self.settings))

    @property
    def address(self) -> Address:
        return Address(name=NAME, host="127.0.0.1", port=self.settings.port, certificate=self.certificate)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "GANETI_ROOTDIR": self.paths.root}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ganeti.main.noded", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def start(self, *arguments: str) -> None:
        """Start in the foreground and wait until it serves."""
        log = Path(self.paths.log_file("node-daemon"))
        before = log.read_text().count(" serving ") if log.exists() else 0
        process = subprocess.Popen(
            [sys.executable, "-m", "ganeti.main.noded", "-f", *arguments],
            env=self.env,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process = process

        def serves() -> bool:
            return log.exists() and log.read_text().count(" serving ") > before

        wait_until(lambda: process.poll() is not None or serves(), "the node daemon serves")
        assert process.poll() is None, self.log()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        return status

    def log(self) -> str:
        return Path(self.paths.log_file("node-daemon")).read_text()

    def _serial(self) -> int:
        return certificates.fresh_serial(self._ids)


def wait_until(true, what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def noded(tmp_path: Path) -> Iterator[Noded]:
    made = Noded(tmp_path / "root")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait(timeout=PATIENCE_S)
    pid = running_pid(made.paths, "ganeti-noded")
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def master(noded: Noded, *, epoch: int = 1, cluster: str = "cluster-1") -> AsyncIterator[NodeClient]:
    wire = TlsWire(noded.paths.node_certificate, noded.paths.ca_certificate)
    try:
        yield NodeClient(wire, cluster_uuid=cluster, epoch=epoch, ids=SystemIds(), version="4.0")
    finally:
        await wire.close()


@pytest.fixture
def guest(noded: Noded) -> Guest:
    uuid = SystemIds().uuid()
    path = f"{noded.disks}/web1.example.com/{uuid}.file.disk0"
    return Guest(
        name="web1.example.com",
        uuid="11111111-2222-4333-8444-555555555555",
        hypervisor="fake",
        hvparams={"migration_mode": "live"},
        maxmem_mib=64,
        minmem_mib=64,
        vcpus=1,
        disk_template="file",
        disks=(Disk(uuid=Uuid(uuid), dev_type="file", size=4, logical_id=("loop", path)),),
    )


STATES = GuestStatesGet(hypervisors=("fake",))


async def test_a_guest_lives_through_the_death_of_the_daemon(noded: Noded, guest: Guest):
    noded.start()
    owner = Owner(instance_name=guest.name, instance_uuid=guest.uuid)
    async with master(noded, epoch=3) as calling:
        assert (await calling.call(noded.address, Ping())).epoch == 3
        facts = await calling.call(
            noded.address,
            NodeFactsGet(hypervisors=("fake",), storages=(StorageAt(template="file", location=noded.disks),)),
        )
        assert facts.problems == {}
        assert facts.hypervisors["fake"].memory_total_mib > 0
        assert facts.storages["file"].free_mib > 0
        await calling.call(noded.address, DiskCreate(disk=guest.disks[0], owner=owner))
        started = await calling.call(noded.address, InstanceStart(guest=guest))
        assert (started.name, started.status) == (guest.name, "running")
        noded.stop(signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"start it there with `ganeti-daemons start`"):
            await calling.call(noded.address, Ping())
        noded.start()
        assert [state.name for state in (await calling.call(noded.address, STATES)).guests] == [guest.name]
        assert (await calling.call(noded.address, Ping())).epoch == 3
        await calling.call(noded.address, InstanceStop(guest=guest))
        assert (await calling.call(noded.address, STATES)).guests == ()
        assert (await calling.call(noded.address, DiskSizesGet(disks=guest.disks))).sizes_mib == (4,)
    assert noded.stop() == 0
    assert not Path(noded.paths.pid_file("ganeti-noded")).exists()


async def test_an_old_master_a_wrong_cluster_and_a_stranger_are_refused(noded: Noded):
    noded.start()
    async with master(noded, epoch=7) as calling:
        await calling.call(noded.address, Ping())
    async with master(noded, epoch=6) as old:
        with pytest.raises(Refused, match=r"epoch 6.*epoch 7") as caught:
            await old.call(noded.address, NodeDelay(duration_s=0.0))
        assert caught.value.facts["node"] == NAME
    noded.stop(signal.SIGKILL)
    noded.start()
    async with master(noded, epoch=6) as old:
        with pytest.raises(Refused, match=r"epoch 7"):
            await old.call(noded.address, Ping())
    async with master(noded, epoch=7, cluster="cluster-2") as other:
        with pytest.raises(Refused, match=r"not to cluster-2"):
            await other.call(noded.address, Ping())
    address = noded.address
    stranger = noded.certify()  # of our authority, but nobody made it a caller
    async with master(noded, epoch=7) as calling:
        with pytest.raises(Refused, match=stranger):
            await calling.call(address, Ping())
        noded.settings = msgspec.structs.replace(noded.settings, callers=(stranger,))
        noded.write_settings()
        assert noded.process is not None
        noded.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "log opened anew" in noded.log(), "settings are read anew")
        assert (await calling.call(address, Ping())).name == NAME


async def test_the_inventory_of_a_real_host_names_what_is_missing_there(noded: Noded):
    noded.start()
    async with master(noded) as calling:
        found = await calling.call(
            noded.address,
            NodeInventoryGet(hypervisors=("fake",), links=(("bridged", "nosuchbridge0"), ("warp", "x"))),
        )
    assert "nosuchbridge0" in found.problems["bridged:nosuchbridge0"]
    assert "has no driver for NIC mode 'warp'" in found.problems["warp:x"]
    assert found.certificate_expires_s is not None
    assert found.certificate_expires_s > time.time() + certificates.DAY_S


async def test_who_leaves_forgets_the_cluster_and_ends(noded: Noded):
    noded.start()
    async with master(noded) as calling:
        await calling.call(noded.address, NodeLeave())
    assert noded.process is not None
    assert noded.process.wait(timeout=PATIENCE_S) == 0
    noded.process = None
    assert os.listdir(noded.paths.data) == []
    done = noded.command()
    assert done.returncode == 12


def test_a_host_in_no_cluster_is_told_how_to_join_one(noded: Noded):
    os.unlink(noded.paths.node_settings)
    for arguments in ([], ["-f"]):
        done = noded.command(*arguments)
        assert done.returncode == 12
        assert f"ganeti-noded: this host is in no cluster: {noded.paths.node_settings} is not there" in done.stderr
        assert "gnt-cluster init" in done.stderr
        assert not Path(noded.paths.pid_file("ganeti-noded")).exists()


def test_broken_settings_and_certificates_are_named(noded: Noded):
    Path(noded.paths.node_certificate).write_text("hello")
    done = noded.command("-f")
    assert done.returncode == 12
    assert noded.paths.node_certificate in done.stderr
    os.unlink(noded.paths.ca_certificate)
    assert f"{noded.paths.ca_certificate} is not there" in noded.command("-f").stderr
    Path(noded.paths.node_settings).write_text('{"cluster_uuid": 1}')
    done = noded.command("-f")
    assert done.returncode == 12
    assert f"cannot read {noded.paths.node_settings}" in done.stderr


def test_a_port_that_is_taken_is_named(noded: Noded):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", noded.settings.port))
        taken.listen()
        done = noded.command("-f")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {noded.settings.port}" in done.stderr


async def test_in_the_background_it_serves_when_the_command_returns_and_runs_once(noded: Noded):
    done = noded.command()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = running_pid(noded.paths, "ganeti-noded")
    assert pid is not None
    async with master(noded) as calling:
        await calling.call(noded.address, Ping())
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    again = noded.command()
    assert again.returncode == 1
    assert again.stderr == f"ganeti-noded: ganeti-noded runs already, with pid {pid}\n"
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: running_pid(noded.paths, "ganeti-noded") is None, "the daemon ends")
    assert "ERROR" not in noded.log()


def test_a_pid_file_that_was_left_behind_is_no_obstacle(noded: Noded):
    path = Path(noded.paths.pid_file("ganeti-noded"))
    path.parent.mkdir(parents=True)
    path.write_text(f"{os.getpid()}\n")
    assert running_pid(noded.paths, "ganeti-noded") is None
    noded.start()
    assert noded.process is not None
    assert running_pid(noded.paths, "ganeti-noded") == noded.process.pid
    with path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_hangup_opens_the_log_anew(noded: Noded):
    noded.start()
    log = Path(noded.paths.log_file("node-daemon"))
    log.rename(f"{log}.1")
    assert noded.process is not None
    noded.process.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and "log opened anew" in log.read_text(), "the log is opened anew")
    assert " INFO serving daemon=ganeti-noded pid=" in Path(f"{log}.1").read_text()


def test_the_version_is_told_without_a_cluster(noded: Noded):
    os.unlink(noded.paths.node_settings)
    done = noded.command("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("ganeti-noded 4.")
    assert noded.command("--nonsense").returncode == 1
    assert noded.command("-p", "70000").returncode == 1


def test_command_line_wins_over_the_settings(noded: Noded):
    port = free_port()
    noded.start("-p", str(port), "-b", "127.0.0.1", "-d")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
        pass
    assert f"port={port}" in noded.log()


async def test_the_daemon_stays_small(noded: Noded, guest: Guest):
    noded.start()
    async with master(noded) as calling:
        await calling.call(noded.address, InstanceStart(guest=msgspec.structs.replace(guest, disks=())))
        for _ in range(50):
            await calling.call(noded.address, STATES)
        assert noded.process is not None
        status = Path(f"/proc/{noded.process.pid}/status").read_text()
        (resident,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        assert int(resident.split()[1]) < 80 * 1024, resident
        print(resident)

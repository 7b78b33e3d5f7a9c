"""A cluster begins as a whole or not at all, and ends without a trace.

Real files below a temporary root, the real store, real certificates and real processes; the daemons are stand-ins
that share the real ones' frame (`ganeti.main.daemon`) and serve nothing but pings.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ganeti.base.clock import SystemClock
from ganeti.base.errors import Failed, Refused
from ganeti.base.files import SystemFiles
from ganeti.base.ids import SystemIds
from ganeti.base.paths import Paths
from ganeti.base.processes import Done, SystemRunner
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import ABSENT, Txn
from ganeti.main.bootstrap import Bootstrap
from ganeti.main.daemon import running_pid
from ganeti.main.daemons import SERVICES, Daemons
from ganeti.model.objects import Cluster, Group, Instance, Node, Uuid, key_of
from ganeti.model.traits import Catalog
from ganeti.store.sqlite import SqliteStore
from ganeti.wire.certificates import fingerprint
from tests.unit.bootstrap.conftest import ScriptedNames, ScriptedRunner, link

STAND_IN = """
import asyncio, os, sys
from ganeti.main import daemon
from ganeti.main.daemon import CannotStart, Kind, run

name = sys.argv[1]

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    body = b'{"version": "0", "fields": [], "rows": []}'
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % len(body) + body)
    await writer.drain()
    writer.close()

async def body(this):
    if os.path.exists(this.paths.root + "/refuse-" + name):
        raise CannotStart("the moon is full")
    if name == "ganeti-masterd":
        server = await asyncio.start_unix_server(answer, this.paths.master_socket)
    this.ready()
    await this.stop.wait()

sys.exit(run(Kind(name=name, log_name=name, about="stand-in"), body, [], version="0"))
"""


class Host:
    """A machine below a directory, with what its operator gets to read."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self.root = root
        self.paths = Paths(str(root))
        self.links = ScriptedRunner({"ssh-keygen": (0, "")})
        self.links.links.append(link("br0", kind="bridge"))
        self.names = ScriptedNames({"node1.example.com": ("192.0.2.10",), "c.example.com": ("192.0.2.20",)})
        self.said: list[str] = []
        self._catalog = catalog
        (root / "stand-in.py").write_text(STAND_IN)
        self.outside = self.files()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def daemons(self, **changes: Any) -> Daemons:
        return Daemons(
            paths=self.paths,
            runner=Both(self.links),
            files=SystemFiles(),
            say=self.said.append,
            program_at=lambda name: [sys.executable, str(self.root / "stand-in.py"), name],
            **changes,
        )

    def bootstrap(self) -> Bootstrap:
        return Bootstrap(
            paths=self.paths,
            home=str(self.root / "root"),
            files=SystemFiles(),
            runner=self.links,
            clock=SystemClock(),
            ids=SystemIds(),
            names=self.names,
            host_name="node1.example.com",
            catalog=self._catalog,
            say=self.said.append,
            daemons=self.daemons(),
        )

    async def init(self, **options: Any) -> None:
        await self.bootstrap().init({"ssh_init": False} | options, "c.example.com")

    async def destroy(self) -> None:
        await self.bootstrap().destroy(confirmed=True)

    def running(self) -> list[str]:
        return [each.program for each in SERVICES if running_pid(self.paths, each.program) is not None]


class Both:
    """Runs our programs for real and asks the script about those of the system."""

    def __init__(self, links: ScriptedRunner) -> None:
        self._links, self._real = links, SystemRunner()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        output_path: str | None = None,
    ) -> Done:
        runner = self._real if argv[0] == sys.executable else self._links
        return await runner.run(argv, timeout_s=timeout_s, stdin=stdin, env=env, cwd=cwd, output_path=output_path)


@pytest.fixture
def host(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("GANETI_ROOTDIR", str(tmp_path))
    host = Host(tmp_path, catalog)
    yield host
    asyncio.run(host.daemons().stop(SERVICES))


async def stored(host: Host) -> dict[str, bytes]:
    store = await SqliteStore.open(host.paths.store, create=False)
    try:
        return {key: entry.value for key, entry in (await store.read()).entries.items()}
    finally:
        await store.close()


async def test_init_makes_a_cluster_of_one_node(host: Host) -> None:
    await host.init()
    entries = await stored(host)
    assert sorted(key.partition("/")[0] for key in entries) == ["cluster", "group", "node"]
    cluster = msgspec.json.decode(entries["cluster"], type=Cluster)
    [node] = [msgspec.json.decode(entries[key], type=Node) for key in entries if key.startswith("node/")]
    [group] = [msgspec.json.decode(entries[key], type=Group) for key in entries if key.startswith("group/")]
    settings = msgspec.json.decode(Path(host.paths.node_settings).read_bytes(), type=NodeSettings)
    own = fingerprint(Path(host.paths.node_certificate).read_bytes())
    assert (node.group, cluster.master_node) == (group.uuid, node.uuid)
    assert (node.certificate, settings.callers) == (own, (own,))
    assert (settings.cluster_uuid, settings.node_uuid) == (cluster.uuid, node.uuid)
    assert (settings.master_name, settings.host) == ("node1.example.com", "192.0.2.10")
    assert settings.file_storage_dirs[0] == f"{host.root}/srv/ganeti/file-storage"
    assert Path(settings.file_storage_dirs[0]).is_dir()
    assert host.links.addresses("eth0") == ["192.0.2.10", "192.0.2.20"]
    assert host.running() == ["ganeti-noded", "ganeti-masterd"]
    assert host.said[0] == "hypervisor: kvm (this host is no Xen dom0)"
    assert "is up on node1.example.com" in host.said[-2]
    assert "next: " in host.said[-1]


async def test_secrets_are_for_root_alone(host: Host) -> None:
    await host.init()
    for path in (host.paths.ca_key, host.paths.node_certificate, host.paths.store):
        assert Path(path).stat().st_mode & 0o077 == 0, path
    assert Path(host.paths.data).stat().st_mode & 0o007 == 0


async def test_destroy_leaves_logs_and_nothing_else(host: Host) -> None:
    await host.init()
    await host.destroy()
    left = {path for path in host.files() - host.outside if not path.startswith("var/log")} - {"var"}
    assert left == set()
    assert host.links.addresses("eth0") == ["192.0.2.10"]
    assert host.running() == []
    assert "cluster c.example.com is gone" in host.said
    assert f"kept: {host.paths.log}" in host.said


async def test_a_destroyed_cluster_can_be_made_again(host: Host) -> None:
    await host.init()
    await host.destroy()
    await host.init()
    assert host.running() == ["ganeti-noded", "ganeti-masterd"]


async def test_a_second_init_is_refused_and_changes_nothing(host: Host) -> None:
    await host.init()
    before = host.files()
    with pytest.raises(Refused, match=r"in the cluster c\.example\.com already"):
        await host.init()
    assert (host.files(), host.running()) == (before, ["ganeti-noded", "ganeti-masterd"])


def no_address(host: Host) -> None:
    host.links.answers["ip address add"] = (2, "RTNETLINK answers: Operation not permitted")


def no_node_daemon(host: Host) -> None:
    (host.root / "refuse-ganeti-noded").touch()


def no_master(host: Host) -> None:
    (host.root / "refuse-ganeti-masterd").touch()


@pytest.mark.parametrize(
    "break_it, cause",
    [(no_address, "Operation not permitted"), (no_node_daemon, "moon is full"), (no_master, "masterd does not start")],
)
async def test_an_init_that_fails_is_undone(host: Host, break_it: Callable[[Host], None], cause: str) -> None:
    break_it(host)
    before = host.files()
    with pytest.raises(Failed, match=cause):
        await host.init()
    left = {path for path in host.files() - before if not path.startswith("var/log")} - {"var"}
    assert left == set()
    assert host.links.addresses("eth0") == ["192.0.2.10"]
    assert host.running() == []
    assert host.said[-1] == "everything that was made so far has been taken back"


async def test_an_interrupted_init_is_undone(host: Host) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(host.init())
        while "ganeti-noded" not in " ".join(host.running()):
            await asyncio.sleep(0)
        task.cancel()
    left = {path for path in host.files() - host.outside if not path.startswith("var/log")} - {"var"}
    assert (left, host.running()) == (set(), [])


async def test_what_a_killed_init_left_is_named_and_can_be_destroyed(host: Host) -> None:
    await host.init()
    await host.daemons().stop(SERVICES)
    Path(host.paths.node_settings).unlink()
    with pytest.raises(Refused, match="an interrupted init or destroy left with 'gnt-cluster destroy"):
        await host.init()
    await host.destroy()
    assert "what an interrupted init left is gone" in host.said
    await host.init()


async def test_destroy_wants_to_be_confirmed(host: Host) -> None:
    await host.init()
    with pytest.raises(Refused, match=r"removes cluster c\.example\.com from this host.*--yes-do-it"):
        await host.bootstrap().destroy(confirmed=False)
    assert host.running() == ["ganeti-noded", "ganeti-masterd"]


async def test_destroy_without_a_cluster_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match=r"in no cluster$"):
        await host.destroy()
    strange = Path(host.paths.data, "config.data")
    strange.parent.mkdir(parents=True)
    strange.write_text("{}")
    with pytest.raises(Refused, match="not of one that 'gnt-cluster init' made"):
        await host.destroy()
    assert strange.exists()


async def test_destroy_is_refused_while_there_are_instances(host: Host) -> None:
    await host.init()
    await host.daemons().stop(SERVICES)
    web = Instance(uuid=Uuid("u1"), name="web1.example.com", primary_node=Uuid("n"), hypervisor="kvm")
    store = await SqliteStore.open(host.paths.store, create=False)
    await store.commit(Txn(expect={key_of(web): ABSENT}, put={key_of(web): msgspec.json.encode(web)}))
    await store.close()
    before = host.files()
    with pytest.raises(Refused, match=r"has 1 instance \(web1\.example\.com\)"):
        await host.destroy()
    assert host.running() == []
    assert before <= host.files()


async def test_the_ssh_key_of_root_is_used_or_its_absence_said(host: Host) -> None:
    key = host.root / "root/.ssh/id_rsa.pub"
    key.parent.mkdir(parents=True)
    key.write_text("ssh-rsa AAAA root@node1\n")
    await host.init(ssh_init=True)
    assert (key.parent / "authorized_keys").read_text() == "ssh-rsa AAAA root@node1\n"
    await host.destroy()
    assert key.exists()
    assert not (key.parent / "authorized_keys").exists()


async def test_without_ssh_keygen_the_cluster_begins_all_the_same(host: Host) -> None:
    del host.links.answers["ssh-keygen"]
    await host.init(ssh_init=True)
    assert any(line.startswith("no ssh key for root: cannot run ssh-keygen") for line in host.said)


async def test_daemons_start_in_order_and_twice_is_harmless(host: Host) -> None:
    await host.init()
    host.said.clear()
    await host.daemons().start(SERVICES)
    assert [line.partition(" (")[0] for line in host.said] == [
        "ganeti-noded runs already",
        "ganeti-masterd runs already",
    ]
    host.said.clear()
    await host.daemons().stop(SERVICES)
    await host.daemons().stop(SERVICES)
    assert host.said == [
        "ganeti-masterd stopped",
        "ganeti-noded stopped",
        "ganeti-masterd does not run",
        "ganeti-noded does not run",
    ]
    host.said.clear()
    assert not host.daemons().status(SERVICES)
    assert host.said == ["ganeti-noded: not running", "ganeti-masterd: not running"]


async def test_the_address_comes_back_when_daemons_start_after_a_reboot(host: Host) -> None:
    await host.init()
    await host.daemons().stop(SERVICES)
    await host.links.run(["ip", "address", "del", "192.0.2.20/32", "dev", "eth0"], timeout_s=1)
    await host.daemons().start(SERVICES)
    assert host.links.addresses("eth0") == ["192.0.2.10", "192.0.2.20"]


async def test_a_host_in_no_cluster_has_no_daemons_to_start(host: Host) -> None:
    with pytest.raises(Refused, match="in no cluster"):
        host.daemons().is_master()

"""What init made on a host is written down first, taken away in reverse, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.main.traces import Traces, remove_tree
from tests.unit.bootstrap.conftest import ScriptedRunner


@pytest.fixture
def runner() -> ScriptedRunner:
    return ScriptedRunner()


@pytest.fixture
def traces(tmp_path: Path, runner: ScriptedRunner) -> Traces:
    return Traces(files=SystemFiles(), runner=runner, paths=Paths(str(tmp_path)))


async def test_everything_made_is_gone_after_undo(tmp_path: Path, traces: Traces, runner: ScriptedRunner) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    data = str(tmp_path / "var/lib/ganeti")
    traces.make_directory(data, 0o750, whole=True)
    traces.record_on_disk()
    traces.write_file(f"{data}/ca.pem", b"pem", mode=0o644)
    traces.add_line(str(tmp_path / "hosts"), "192.0.2.10 node1")
    await traces.add_address("192.0.2.20", 32, "eth0")
    assert runner.addresses("eth0") == ["192.0.2.10", "192.0.2.20"]
    assert await traces.undo(destroyed=True) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hosts"]
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 localhost\n"
    assert runner.addresses("eth0") == ["192.0.2.10"]


async def test_another_process_can_undo_what_was_recorded(
    tmp_path: Path, traces: Traces, runner: ScriptedRunner
) -> None:
    traces.make_directory(str(tmp_path / "var/lib/ganeti"), 0o750, whole=True)
    traces.record_on_disk()
    await traces.add_address("192.0.2.20", 32, "eth0")
    traces.expect_file(str(tmp_path / "never-made"))
    later = Traces(files=SystemFiles(), runner=runner, paths=Paths(str(tmp_path)))
    assert later.load()
    await later.undo(destroyed=True)
    assert list(tmp_path.iterdir()) == []
    assert runner.addresses("eth0") == ["192.0.2.10"]


async def test_directories_that_were_there_or_hold_something_stay(tmp_path: Path, traces: Traces) -> None:
    (tmp_path / "srv").mkdir()
    traces.make_directory(str(tmp_path / "srv/ganeti/os"), 0o755)
    (tmp_path / "srv/ganeti/mine").write_text("mine")
    await traces.undo(destroyed=True)
    assert [path.name for path in (tmp_path / "srv/ganeti").iterdir()] == ["mine"]


async def test_what_is_kept_outlives_the_cluster_but_not_a_failed_init(tmp_path: Path, traces: Traces) -> None:
    for destroyed in (True, False):
        key = tmp_path / "key"
        traces.expect_file(str(key), kept=True)
        key.write_text("key")
        assert await traces.undo(destroyed=destroyed) == ([str(key)] if destroyed else [])
        assert key.exists() == destroyed


async def test_modes_are_as_asked(tmp_path: Path, traces: Traces) -> None:
    traces.make_directory(str(tmp_path / "a/b"), 0o700)
    traces.add_line(str(tmp_path / "a/b/authorized_keys"), "ssh-rsa AAAA", mode=0o600)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a/b/authorized_keys").stat().st_mode & 0o777 == 0o600


async def test_a_line_is_not_glued_to_a_last_one_without_end(tmp_path: Path, traces: Traces) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost")
    traces.add_line(str(tmp_path / "hosts"), "192.0.2.10 node1")
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 localhost\n192.0.2.10 node1\n"


async def test_an_address_lost_at_a_reboot_comes_back(traces: Traces, runner: ScriptedRunner) -> None:
    await traces.add_address("192.0.2.20", 32, "eth0")
    assert await traces.ensure_addresses() == []
    runner.links[1]["addr_info"] = []
    assert await traces.ensure_addresses() == ["192.0.2.20 on eth0"]
    assert runner.addresses("eth0") == ["192.0.2.20"]


async def test_a_device_that_is_gone_takes_its_address_along(traces: Traces, runner: ScriptedRunner) -> None:
    await traces.add_address("192.0.2.20", 32, "eth0")
    runner.links = runner.links[:1]
    assert await traces.undo(destroyed=True) == []


async def test_what_cannot_be_removed_stays_recorded(tmp_path: Path, traces: Traces, runner: ScriptedRunner) -> None:
    traces.make_directory(str(tmp_path / "var/lib/ganeti"), 0o750)
    traces.record_on_disk()
    await traces.add_address("192.0.2.20", 32, "eth0")
    traces.write_file(str(tmp_path / "file"), b"")
    runner.answers["ip address del"] = (2, "RTNETLINK answers: Operation not permitted")
    with pytest.raises(Failed, match="Operation not permitted"):
        await traces.undo(destroyed=True)
    assert not (tmp_path / "file").exists()
    again = Traces(files=SystemFiles(), runner=runner, paths=Paths(str(tmp_path)))
    assert again.load()
    del runner.answers["ip address del"]
    await again.undo(destroyed=True)
    assert runner.addresses("eth0") == ["192.0.2.10"]


async def test_a_damaged_record_is_said(tmp_path: Path, traces: Traces) -> None:
    (tmp_path / "var/lib/ganeti").mkdir(parents=True)
    assert not traces.load()
    (tmp_path / "var/lib/ganeti/init.json").write_text("[{")
    with pytest.raises(Failed, match=r"init\.json cannot be read"):
        traces.load()


def test_a_removed_tree_takes_links_but_not_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("stay")
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/link").symlink_to(tmp_path / "precious")
    remove_tree(SystemFiles(), str(tmp_path / "tree"))
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious/file").read_text() == "stay"

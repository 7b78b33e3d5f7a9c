"""What a host is, is seen from its tools, its files and its resolver; what is not there is no error."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.main import detect
from ganeti.main.detect import Detector, SystemNames, decode_links, decode_volume_groups
from tests.unit.bootstrap.conftest import ScriptedNames, ScriptedRunner, link

TABLE = {"node1.example.com": ("192.0.2.10",), "cluster.example.com": ("192.0.2.20",)}
VGS = '{"report": [{"vg": [{"vg_name":"xenvg", "vg_size":"40956.00"}, {"vg_name":"small", "vg_size":"512.50"}]}]}'


def detector(runner: ScriptedRunner, root: Path) -> Detector:
    return Detector(
        runner=runner,
        files=SystemFiles(),
        names=ScriptedNames(TABLE),
        paths=Paths(str(root)),
        uid=0,
        host_name="node1.example.com",
    )


async def test_a_bare_host_has_addresses_and_devices_and_nothing_else(tmp_path: Path) -> None:
    facts = await detector(ScriptedRunner(), tmp_path).look("cluster.example.com", 4)
    assert facts.host_addresses == ("192.0.2.10",)
    assert facts.cluster_addresses == ("192.0.2.20",)
    assert facts.local == {"127.0.0.1": "lo", "::1": "lo", "192.0.2.10": "eth0"}
    assert (facts.devices, facts.bridges) == (("lo", "eth0"), ())
    assert (facts.volume_groups, facts.answers, facts.member_of, facts.leftovers) == ({}, None, None, ())


async def test_bridges_and_volume_groups_are_seen(tmp_path: Path) -> None:
    runner = ScriptedRunner({"vgs ": (0, VGS)})
    runner.links.append(link("br0", kind="bridge"))
    facts = await detector(runner, tmp_path).look("cluster.example.com", 4)
    assert facts.bridges == ("br0",)
    assert facts.volume_groups == {"xenvg": 40956.0, "small": 512.5}


async def test_lvm_tools_that_fail_mean_no_volume_group(tmp_path: Path) -> None:
    runner = ScriptedRunner({"vgs ": (5, "/dev/mapper/control: open failed")})
    assert (await detector(runner, tmp_path).look("cluster.example.com", 4)).volume_groups == {}


async def test_an_address_that_replies_to_ping_answers(tmp_path: Path) -> None:
    runner = ScriptedRunner({"ping ": (0, "1 received")})
    assert (await detector(runner, tmp_path).look("cluster.example.com", 4)).answers == "ping"


async def test_an_address_with_a_node_daemon_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    monkeypatch.setattr(detect, "NODED_PORT", server.sockets[0].getsockname()[1])
    monkeypatch.setattr(detect, "is_loopback", lambda _address: False)
    runner = ScriptedRunner()
    runner.links = [link("eth0", "192.0.2.10")]
    async with server:
        facts = await Detector(
            runner=runner,
            files=SystemFiles(),
            names=ScriptedNames({"cluster.example.com": ("127.0.0.1",)}),
            paths=Paths(str(tmp_path)),
            uid=0,
            host_name="node1.example.com",
        ).look("cluster.example.com", 4)
    assert facts.answers == f"TCP port {detect.NODED_PORT}"


async def test_own_and_loopback_addresses_are_not_knocked_at(tmp_path: Path) -> None:
    runner = ScriptedRunner({"ping ": (0, "")})
    host = Detector(
        runner=runner,
        files=SystemFiles(),
        names=ScriptedNames({"c.example.com": ("192.0.2.10", "127.0.0.1")}),
        paths=Paths(str(tmp_path)),
        uid=0,
        host_name="node1.example.com",
    )
    assert (await host.look("c.example.com", 4)).answers is None
    assert not any(words.startswith("ping") for words in runner.ran)


async def test_files_of_a_cluster_are_seen_but_not_the_users_of_the_api(tmp_path: Path) -> None:
    data = tmp_path / "var/lib/ganeti"
    (data / "queue").mkdir(parents=True)
    (data / "rapi").mkdir()
    (data / "rapi/users").write_text("jack password write\n")
    (data / "queue/job-1").write_text("{}")
    (data / "node.json").write_text('{"cluster_name": "old.example.com"}')
    facts = await detector(ScriptedRunner(), tmp_path).look("cluster.example.com", 4)
    assert facts.member_of == "old.example.com"
    assert facts.leftovers == (str(data / "node.json"), str(data / "queue/job-1"))


async def test_broken_settings_are_leftovers_and_no_membership(tmp_path: Path) -> None:
    data = tmp_path / "var/lib/ganeti"
    data.mkdir(parents=True)
    (data / "node.json").write_text("{")
    facts = await detector(ScriptedRunner(), tmp_path).look("cluster.example.com", 4)
    assert (facts.member_of, len(facts.leftovers)) == (None, 1)


def test_link_local_addresses_are_not_addresses_of_the_host() -> None:
    text = '[{"ifname": "eth0", "addr_info": [{"local": "fe80::1", "scope": "link"}]}]'
    assert decode_links(text) == ({}, ("eth0",), ())


def test_what_is_not_json_is_said() -> None:
    with pytest.raises(Failed, match="cannot read what 'ip -json"):
        decode_links('Object "-json" is unknown, try "ip help".')


def test_sizes_of_volume_groups_are_mib() -> None:
    assert decode_volume_groups(VGS)["small"] == 512.5


async def test_the_real_resolver_knows_localhost_and_not_an_invalid_name() -> None:
    assert "127.0.0.1" in await SystemNames().addresses("localhost", 4)
    assert await SystemNames().addresses("nobody.invalid", 4) == ()


def test_the_name_of_the_host_can_be_given_for_several_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANETI_HOSTNAME", "Node7.Example.com.")
    assert detect.own_name() == "node7.example.com"

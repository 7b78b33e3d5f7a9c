"""The data of info commands prints, with a printer that knows nothing of it, as administrators know it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ganeti.base.errors import Refused, Unavailable
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.calls.os import OsList
from ganeti.contract.guest import GuestStatus
from ganeti.master.queries import info, jobs
from ganeti.model.objects import Cluster, Disk, Nic, Uuid
from tests.unit.queries import world
from tests.unit.queries.world import World

HERE = Path(__file__).parent
G = "3772af40-b3d7-4c29-8251-84c8e329a224"
NODES = ("node1.pg.example", "node2.pg.example", "node3.pg.example")


@pytest.fixture(autouse=True)
def universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    assert os.environ.get("TZ") != "UTC" or time.timezone == 0


def printed(data: Any, indent: int = 0) -> str:
    """The generic printer that `info` describes."""
    pad = " " * indent
    match data:
        case list():
            lines = []
            for item in data:
                inner = printed(item, indent + 2) if isinstance(item, dict) else f"{pad}  {item}\n"
                lines.append(f"{pad}- {inner[indent + 2 :]}")
            return "".join(lines)
        case dict():
            return "".join(
                f"{pad}{key}: \n{printed(value, indent + 2)}"
                if isinstance(value, (dict, list))
                else f"{pad}{key}: {value}\n"
                for key, value in data.items()
            )
        case _:
            raise TypeError(data)


def stamp(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


POLICY = {
    "minmax": [
        {
            "min": dict.fromkeys(("cpu-count", "disk-count", "disk-size", "nic-count", "spindle-use"), 0)
            | {"cpu-count": 1, "memory-size": 4},
            "max": {
                "cpu-count": 8,
                "disk-count": 16,
                "disk-size": 1048576,
                "memory-size": 32768,
                "nic-count": 8,
                "spindle-use": 12,
            },
        }
    ],
    "disk-templates": ["file", "diskless"],
    "vcpu-ratio": 10000.0,
    "spindle-ratio": 10000.0,
}


def the_cluster_of_the_samples() -> World:
    cluster = Cluster(
        uuid=Uuid("9ffe42d1-c407-445e-8ecb-3b1cb42a6b6b"),
        ctime=stamp("2026-11-22 18:06:46"),
        mtime=stamp("2026-11-22 18:06:47"),
        cluster_name="cluster.pg.example",
        master_node=Uuid("n1"),
        master_ip="10.231.77.1",
        master_netdev="eth0",
        enabled_hypervisors=("fake",),
        enabled_disk_templates=("diskless", "file"),
        nicparams={"mode": "routed", "link": "main"},
        ipolicy=POLICY,
        data_collectors={
            name: {"active": True, "interval": 5_000_000}
            for name in ("cpu-avg-load", "diskstats", "drbd", "inst-status-xen", "lv", "xen-cpu-avg-load")
        },
    )
    group = msgspec.structs.replace(world.GROUP, uuid=Uuid(G))
    nodes = [
        world.node(number, name=name, primary_ip=f"10.231.77.1{number}", secondary_ip=f"10.231.77.1{number}", group=G)
        for number, name in enumerate(NODES, start=1)
    ]
    path = "/srv/ganeti/file-storage/db1.pg.example/d7ebd143-047c-480e-b400-9c159b9ccb92.file.disk0"
    db1 = world.instance(
        "db1",
        uuid="b164ba2e-666e-498a-9767-c7d47a233b95",
        name="db1.pg.example",
        serial_no=3,
        ctime=stamp("2026-11-22 18:09:10"),
        mtime=stamp("2026-11-22 18:09:12"),
        primary_node="n2",
        hypervisor="fake",
        os="noop+default",
        disk_template="file",
        disks=(
            Disk(
                uuid=Uuid("7c599f8b-b6de-4aed-91c0-f4829ab2521e"),
                dev_type="file",
                size=64,
                logical_id=("loop", path),
            ),
        ),
        nics=(Nic(uuid=Uuid("1fb5e2d6-0221-4e75-be1b-8674319b3a50"), mac="aa:00:00:8a:0c:55", ip="10.9.0.2"),),
    )
    web1 = world.instance("web1", name="web1.pg.example", hypervisor="fake")
    made = World(world.picture(group, *nodes, db1, web1, cluster=cluster))
    made.guests = {"n2": GuestStates(guests=(world.guest(db1),))}
    dirs = ("/srv/ganeti", "/usr/local/lib/ganeti", "/usr/lib/ganeti", "/usr/share/ganeti")
    made.software = msgspec.structs.replace(
        world.SOFTWARE,
        os_search_path=tuple(f"{place}/os" for place in dirs),
        extstorage_search_path=tuple(f"{place}/extstorage" for place in dirs),
    )
    return made


async def run(made: World, kind: str, *names: str, static: bool = False) -> Any:
    data = await info.run(kind, names, static=static, sources=made)
    assert json.loads(json.dumps(data)) == data
    return data


async def test_cluster_info_prints_as_it_always_did() -> None:
    assert printed(await run(the_cluster_of_the_samples(), "cluster")) == (HERE / "cluster-info.txt").read_text()


async def test_node_info_prints_as_it_always_did() -> None:
    assert printed(await run(the_cluster_of_the_samples(), "node")) == (HERE / "node-info.txt").read_text()


async def test_group_info_prints_as_it_always_did() -> None:
    made = the_cluster_of_the_samples()
    assert printed(await run(made, "group", "default")) == (HERE / "group-info.txt").read_text()


async def test_instance_info_prints_as_it_always_did() -> None:
    made = the_cluster_of_the_samples()
    assert printed(await run(made, "instance", "db1")) == (HERE / "instance-info-file.txt").read_text()


async def test_static_info_asks_no_node() -> None:
    made = the_cluster_of_the_samples()
    [block] = await run(made, "instance", "db1", static=True)
    assert made.asked == []
    assert block["State"] == "configured to be up"
    assert "on primary" not in block["Disks"][0]


async def test_own_values_stand_bare_and_inherited_ones_say_so() -> None:
    web = world.rich()
    made = World(world.picture(world.node(1, ndparams={"ssh_port": 2222}), world.node(2), web))
    [block] = await run(made, "instance", "web1")
    assert block["Back-end parameters"]["maxmem"] == 512
    assert block["Back-end parameters"]["memory"] == 512
    assert block["Back-end parameters"]["vcpus"] == "default (1)"
    assert block["Hypervisor parameters"] == {
        "acpi": False,
        "kernel_path": "default (/boot/vmlinuz)",
        "serial_speed": "default (9600)",
        "vnc_bind_address": "default ()",
    }
    assert block["Operating system parameters"] == {
        "mirror": "default (local)",
        "suite": "stable",
        "key": "<redacted>",
        "password": "<redacted>",
    }
    assert block["Nodes"][1] == {"secondaries": ["node2.example (group default, group UUID g1)"]}
    [node] = await run(made, "node", "node1")
    assert node["node parameters"]["ssh_port"] == 2222


async def test_secrets_are_shown_nowhere() -> None:
    made = World(world.picture(world.node(1), world.node(2), world.rich()))
    for kind in ("cluster", "node", "group", "instance", "os"):
        assert "do-not-show" not in json.dumps(await run(made, kind))


async def test_a_mirrored_disk_shows_its_nodes_and_a_lost_one_is_missing() -> None:
    made = World(world.picture(world.node(1), world.node(2), world.rich()))
    made.sizes = {"d0": None, "d1": 1024}
    [block] = await run(made, "instance")
    assert block["Disks"][0] == {
        "disk/0": "drbd, size 1.0G",
        "access mode": "rw",
        "nodeA": "node1.example, minor=0",
        "nodeB": "node2.example, minor=1",
        "port": 11000,
        "auth key": "<redacted>",
        "on primary": "missing",
        "name": "root",
        "UUID": "d0",
    }
    assert block["Disks"][1]["on primary"].endswith("real size 1.0G")


@pytest.mark.parametrize(
    "guests, state",
    [
        ({"n1": "running"}, "up"),
        ({"n1": "paused"}, "up (paused)"),
        ({"n1": "user-down"}, "down, by its user"),
        ({}, "down"),
        ({"n2": "running"}, "up, but on the wrong node node2.example"),
    ],
)
async def test_the_state_says_what_shall_be_and_what_is(guests: dict[str, GuestStatus], state: str) -> None:
    web = world.rich()
    made = World(world.picture(world.node(1), world.node(2), web))
    made.guests = {uuid: GuestStates(guests=(world.guest(web, status),)) for uuid, status in guests.items()}
    [block] = await run(made, "instance", "web1")
    assert block["State"] == f"configured to be up, actual state is {state}"


async def test_a_state_that_cannot_be_known_says_why() -> None:
    made = World(world.picture(world.node(1), world.node(2, offline=True), world.rich()))
    made.guests = {"n1": Unavailable("no answer")}
    [block] = await run(made, "instance", "web1")
    assert block["State"].endswith("unknown: node node1.example does not answer")
    made = World(world.picture(world.node(1, offline=True), world.node(2), world.rich()))
    [block] = await run(made, "instance", "web1")
    assert block["State"].endswith("unknown: node node1.example is offline")


async def test_vnc_is_shown_where_it_listens() -> None:
    web = world.rich(hvparams={"vnc_bind_address": "0.0.0.0"})
    [block] = await run(World(world.picture(world.node(1), world.node(2), web)), "instance")
    assert block["console connection"] == "vnc to node1.example:11002 (display 5102)"


async def test_os_info_tells_the_state_everywhere_and_on_each_node() -> None:
    made = World(world.picture(world.node(1), world.node(2), world.node(3), world.node(4, offline=True)))
    good, bad = world.os_found(), world.os_found(problems=("create is not executable",))
    made.oses = {"n1": OsList(found=(good,)), "n2": OsList(found=(bad,)), "n3": OsList()}
    [block] = await run(made, "os")
    assert (block["name"], block["status"], block["valid"]) == ("debian", "partial", False)
    assert [(node["node"], node["status"]) for node in block["nodes"]] == [
        ("node1.example", "valid"),
        ("node2.example", "invalid"),
        ("node3.example", "missing"),
    ]
    assert block["nodes"][1]["problems"] == ["create is not executable"]
    assert made.asked == [("oses", ["n1", "n2", "n3"])]
    made.oses = {"n1": OsList(found=(bad,))}
    assert (await run(made, "os", "debian+base"))[0]["status"] == "invalid"


@pytest.mark.parametrize(
    "kind, message",
    [
        ("instance", "Instance 'nosuch' not known"),
        ("node", "Node 'nosuch' not known"),
        ("os", "OS name nosuch not found"),
        ("network", "no info about 'network'"),
    ],
)
async def test_unknown_names_and_kinds_are_refused(kind: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        await run(the_cluster_of_the_samples(), kind, "nosuch")


def test_job_details_hold_all_there_is_of_a_job() -> None:
    details = jobs.details(world.job(7, "success", "error", end_timestamp=1002.0), archived=True)
    assert (details.id, details.status, details.archived, details.end_ts) == (7, "error", True, 1002.0)
    assert [op["status"] for op in details.ops] == ["success", "error"]
    assert details.ops[0]["log"] == [[1, 1.25, "message", "hello"]]
    assert details.ops[0]["start"] == 1000.5
    assert len(details.summary) == 2

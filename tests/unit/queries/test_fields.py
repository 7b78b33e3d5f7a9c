"""Every column of the old lists is there, under its name, title and kind, and can be read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ganeti.base.errors import Refused
from ganeti.contract import api
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.calls.os import OsList
from ganeti.master.queries import engine
from ganeti.master.queries.fields import MAX_DISKS, MAX_NICS, natural
from ganeti.master.queries.sources import LockRow
from ganeti.model.params import Param
from ganeti.model.traits import Catalog, HypervisorTraits
from tests.unit.queries import world
from tests.unit.queries.world import World


def expected() -> dict[str, tuple[list[str], dict[str, tuple[str, str]]]]:
    """From the facts: resource to default fields, and name to (title, kind), with N counted out."""
    result: dict[str, tuple[list[str], dict[str, tuple[str, str]]]] = {}
    found: dict[str, tuple[str, str]] = {}
    for line in (Path(__file__).parent / "fields.txt").read_text().splitlines():
        if line.startswith("["):
            head, count, default = line.split()
            found = {}
            result[head.strip("[]")] = ([] if default == "-" else default.split(","), found)
            found[""] = ("", count)
            continue
        name, title, kind = line.split()
        if not name.endswith("/N"):
            found[name] = (title, kind)
            continue
        for index in range(MAX_NICS if name.startswith("nic.") else MAX_DISKS):
            found[f"{name[:-1]}{index}"] = (f"{title[:-1]}{index}", kind)
    for _, fields in result.values():
        assert len(fields) - 1 == int(fields.pop("")[1])
    return result


EXPECTED = expected()


def a_rich_world() -> World:
    web = world.rich()
    made = World(world.picture(world.node(1), world.node(2), web, world.instance("db2"), world.instance("db10")))
    made.guests = {"n1": GuestStates(guests=(world.guest(web),))}
    made.facts = {"n1": world.facts(), "n2": world.facts()}
    made.oses = {"n1": OsList(found=(world.os_found(),)), "n2": OsList(found=(world.os_found(),))}
    made.job_list = [world.job(1, "success", "running"), world.job(2, "queued")]
    made.lock_list = [LockRow(name="cluster", mode="shared", owner=("7",), pending=(("exclusive", ("8", "9")),))]
    made.watcher_pause = 12345.0
    return made


@pytest.mark.parametrize("what", sorted(EXPECTED))
def test_the_fields_are_those_of_the_facts(what: str) -> None:
    defaults, wanted = EXPECTED[what]
    found = engine.fields(what, None, a_rich_world().view)
    assert {field.name: (field.title, field.kind) for field in found} == wanted
    assert [field.name for field in found] == sorted(wanted, key=natural)
    assert all(field.doc for field in found)
    if defaults:
        assert list(engine.RESOURCES[what].default_fields) == defaults


@pytest.mark.parametrize("what", sorted(EXPECTED))
async def test_every_field_can_be_read_and_sent(what: str) -> None:
    names = sorted(EXPECTED[what][1])
    reply = await engine.run(api.Query(what=what, fields=names), a_rich_world())  # type: ignore[arg-type]
    assert reply.rows
    for row in reply.rows:
        assert len(row) == len(names)
        for (status, value), name in zip(row, names, strict=True):
            assert status in (api.NORMAL, api.UNAVAILABLE), name
            assert (value is None) is (status == api.UNAVAILABLE), name
    sent = msgspec.json.encode(reply)
    assert msgspec.json.decode(sent, type=api.QueryReply).fields == reply.fields
    assert b"do-not-show" not in sent


@pytest.mark.parametrize("what", sorted(EXPECTED))
async def test_default_fields_are_shown_when_none_are_named(what: str) -> None:
    reply = await engine.run(api.Query(what=what), a_rich_world())  # type: ignore[arg-type]
    assert [field.name for field in reply.fields] == list(engine.RESOURCES[what].default_fields)
    assert reply.revision == 7


async def values(made: World, what: str, name: str, **query: object) -> dict[str, object]:
    """Field to value in the one row of that name."""
    fields = sorted(EXPECTED[what][1])
    reply = await engine.run(api.Query(what=what, fields=fields, arguments=[name]), made)  # type: ignore[arg-type]
    assert len(reply.rows) == 1
    return {field: value for field, (_, value) in zip(fields, reply.rows[0], strict=True)}


async def test_an_instance_shows_what_is_in_force_and_what_is_its_own() -> None:
    row = await values(a_rich_world(), "instance", "web1")
    shown = {
        "pnode": "node1.example",
        "snodes": ["node2.example"],
        "snodes.group": ["default"],
        "pnode.group.uuid": "g1",
        "hv/acpi": False,
        "hv/serial_speed": 9600,
        "hv/kernel_path": "/boot/vmlinuz",
        "hv/cpu_cap": None,
        "hvparams": {"acpi": False, "kernel_path": "/boot/vmlinuz", "serial_speed": 9600, "vnc_bind_address": ""},
        "custom_hvparams": {"acpi": False},
        "be/memory": 512,
        "be/minmem": 128,
        "vcpus": 1,
        "osparams": {"mirror": "local", "suite": "stable"},
        "disk.sizes": [1024, 512],
        "disk_usage": 1024 + 512 + 2 * 128,
        "disk.size/1": 512,
        "sdb_size": 512,
        "disk.size/2": None,
        "disk.spindles/1": 2,
        "nic.modes": ["bridged", "routed"],
        "nic.bridges": ["xen-br0", None],
        "nic.bridge/0": "xen-br0",
        "nic.bridge/1": None,
        "nic.networks": [None, "net"],
        "nic.ip/1": None,
        "ip": "10.9.0.1",
        "nic.mac/7": None,
        "oper_state": True,
        "oper_ram": 128,
        "status": "running",
        "tags": ["prod", "web"],
        "admin_up": True,
    }
    assert {name: row[name] for name in shown} == shown
    assert row["console"]["host"] == "node1.example"  # type: ignore[index]


async def test_a_node_shows_itself_and_its_instances() -> None:
    row = await values(a_rich_world(), "node", "node1")
    shown = {
        "role": "M",
        "master": True,
        "pinst_cnt": 3,
        "pinst_list": ["db2.example", "db10.example", "web1.example"],
        "sinst_cnt": 0,
        "mtotal": 4096,
        "mfree": 3000,
        "mnode": 500,
        "dtotal": 10000,
        "dfree": 7000,
        "ctotal": 4,
        "cnos": 1,
        "bootid": "boot",
        "powered": None,
        "ndp/ssh_port": 22,
        "group": "default",
    }
    assert {name: row[name] for name in shown} == shown
    assert (await values(a_rich_world(), "node", "node2"))["sinst_list"] == ["web1.example"]


async def test_a_job_shows_times_as_pairs_and_its_operations_in_short() -> None:
    row = await values(a_rich_world(), "job", "1")
    assert row["received_ts"] == [1000, 1]
    assert row["opstart"] == [[1000, 500000]] * 2
    assert row["opexec"] == [None, None]
    assert row["oplog"] == [[[1, [1, 250000], "message", "hello"]]] * 2
    assert row["opstatus"] == ["success", "running"]
    assert row["status"] == "running"
    assert [text.partition("(")[0] for text in row["summary"]] == ["TEST_DELAY"] * 2  # type: ignore[attr-defined]


async def test_an_os_offers_what_every_node_offers() -> None:
    made = a_rich_world()
    made.oses["n2"] = OsList(found=(world.os_found(variants=("full",), api_versions=(20,), parameters={}),))
    row = await values(made, "os", "debian+base")
    assert (row["variants"], row["api_versions"], row["parameters"], row["valid"]) == (["full"], [20], [], True)
    assert row["osparams"] == {"mirror": "local", "password": "<redacted>"}
    made.oses["n2"] = OsList(found=(world.os_found(problems=("no create script",)),))
    row = await values(made, "os", "debian")
    assert (row["valid"], row["variants"]) == (False, ["base", "full"])


async def test_locks_show_who_holds_and_who_waits() -> None:
    row = await values(a_rich_world(), "lock", "cluster")
    assert row == {"name": "cluster", "mode": "shared", "owner": ["7"], "pending": [["exclusive", ["8", "9"]]]}


def test_a_parameter_of_a_driver_that_the_facts_lack_is_a_field_too() -> None:
    accel = Param(name="accelerator", kind="string", default="auto")
    catalog = Catalog(
        hypervisors={"kvm": HypervisorTraits(name="kvm", params=(*world.KVM.params, accel))}, storages={}, networks={}
    )
    view = World(world.picture(world.node(1)), catalog).view
    names = {field.name for field in engine.fields("instance", None, view)}
    assert names - EXPECTED["instance"][1].keys() == {"hv/accelerator"}


async def test_an_unknown_field_is_a_column_that_says_so() -> None:
    reply = await engine.run(api.Query(what="instance", fields=["name", "foo"]), a_rich_world())
    assert [field.kind for field in reply.fields] == ["text", "unknown"]
    assert [field.title for field in reply.fields] == ["Instance", "foo"]
    assert {row[1] for row in reply.rows} == {(api.UNKNOWN_FIELD, None)}


def test_what_cannot_be_listed_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be listed; what can is cluster, group"):
        engine.fields("network", None, a_rich_world().view)

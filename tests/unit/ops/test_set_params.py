"""Changing instances: parameters, NICs, disks, memory, flags."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Failed
from ganeti.contract.calls.disk import DiskCreate, DiskRemove
from ganeti.model.objects import changed
from tests.unit.ops.test_life import files, files_of
from tests.unit.ops.world import DOMAIN, NODE1, World, said

OP = "OP_INSTANCE_SET_PARAMS"
WEB1 = f"web1.{DOMAIN}"
POLICY = {"minmax": [{"min": dict.fromkeys(("memory-size", "cpu-count", "disk-count", "disk-size", "nic-count",
                                            "spindle-use"), 0),
                      "max": {"memory-size": 256, "cpu-count": 2, "disk-count": 2, "disk-size": 100, "nic-count": 2,
                              "spindle-use": 2}}]}  # fmt: skip


async def test_parameters_are_changed_and_told(world: World) -> None:
    await world.add_instance(beparams={"vcpus": 3})
    result = await world.done(
        OP,
        instance_name="web1",
        beparams={"memory": "256M", "vcpus": "default"},
        os_name="tiny+big",
        osparams={"a": "1"},
        osparams_private={"b": "2"},
        ignore_ipolicy=True,
    )
    assert result == [
        ["be/minmem", 256],
        ["be/maxmem", 256],
        ["be/vcpus", "default"],
        ["os", "tiny+big"],
        ["os/a", "1"],
        ["os_private/b", "<redacted>"],
    ]
    instance = world.instance(WEB1)
    assert instance.beparams == {"minmem": 256, "maxmem": 256}
    assert (instance.os, instance.osparams, instance.osparams_private) == ("tiny+big", {"a": "1"}, {"b": "2"})
    assert instance.serial_no == 2
    assert world.deeds() == []


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({}, "wrong_input", "no change was asked for"),
        ({"beparams": {"minmem": 300, "maxmem": 200}}, "wrong_input", "above maxmem"),
        ({"beparams": {"colour": 1}}, "wrong_input", "no parameter 'colour'"),
        ({"hvparams": {"migration_mode": "live"}}, "wrong_input", "only be set for the cluster"),
        ({"os_name": "nothing"}, "unknown_entity", "no OS 'nothing'"),
        ({"disk_template": "plain"}, "wrong_input", "not served yet"),
        ({"pnode": "node2"}, "wrong_input", "not served yet"),
        ({"remote_node": "node2"}, "wrong_input", "not served yet"),
        ({"instance_communication": True}, "wrong_input", "not served yet"),
        ({"runtime_mem": 100}, "wrong_state", "is not running"),
        ({"nics": [["attach", 0, {}]]}, "wrong_input", "attach a NIC is not served yet"),
        ({"nics": [["remove", 3, {}]]}, "unknown_entity", "no NIC 3"),
        ({"nics": [["remove", "eth7", {}]]}, "unknown_entity", "has no NIC 'eth7'"),
        ({"nics": [["add", -1, {"speed": 9}]]}, "wrong_input", "no setting 'speed'"),
        ({"nics": [["modify", 0, {"mac": "aa:00:00:00:02:00"}]]}, "resource_not_unique", "in use already"),
        ({"nics": [["modify", 0, {"link": "br9"}]]}, "environment_error", "bridge br9 is not on this node"),
        ({"nics": [["add", -1, {}]] * 8}, "wrong_input", "can have 8 NICs, not 9"),
        ({"nics": [["bend", 0, {}]]}, "wrong_input", "there is no 'bend'"),
        ({"nics": [["remove", 0, {"mac": "auto"}]]}, "wrong_input", "takes no settings"),
        ({"nics": [[1]]}, "wrong_input", "is no change of a NIC"),
        ({"disks": [["add", -1, {"size": 0}]]}, "wrong_input", "makes no disk"),
        ({"disks": [["add", -1, {}]]}, "wrong_input", "its size is missing"),
        ({"disks": [["add", -1, {"size": "99g"}]]}, "insufficient_resources", "disk space are needed"),
        ({"disks": [["add", 5, {"size": 1}]]}, "wrong_input", "index from 0 to 1"),
        ({"disks": [["modify", 0, {"size": 9}]]}, "wrong_input", "use 'gnt-instance grow-disk'"),
        ({"disks": [["modify", 0, {"mode": "rx"}]]}, "wrong_input", "neither rw nor ro"),
        ({"disks": [["remove", 0, {}]]}, "wrong_input", "the last disk"),
        ({"disks": [["add", -1, {"size": 1}]] * 16}, "wrong_input", "can have 16 disks, not 17"),
        ({"beparams": {"vcpus": 2}, "file_driver": "loop"}, "wrong_input", "applies to new disks only"),
    ],
)  # fmt: skip
async def test_a_change_is_refused(world: World, params: dict[str, Any], code: str, words: str) -> None:
    await world.add_instance()
    await world.add_instance("other", number=2)
    params.setdefault("ignore_ipolicy", True)
    refused_with, message = await world.refused(OP, instance_name="web1", **params)
    assert (refused_with, words in message) == (code, True), message


async def test_nics_are_added_changed_and_removed(world: World) -> None:
    await world.add_instance(nics=2)
    result = await world.done(
        OP,
        instance_name="web1",
        nics=[
            ["modify", 0, {"ip": "10.0.0.7", "link": "br1", "name": "front"}],
            ["remove", 1, {}],
            ["add", -1, {"mac": "aa:00:00:77:77:77"}],
        ],
    )
    assert result == [
        ["nic.ip/0", "10.0.0.7"],
        ["nic.link/0", "br1"],
        ["nic.name/0", "front"],
        ["nic/1", "remove"],
        ["nic/1", "add:mac=aa:00:00:77:77:77,ip=None,mode=bridged,link=xen-br0,network=None"],
    ]
    front, second = world.instance(WEB1).nics
    assert (front.ip, front.nicparams, front.name) == ("10.0.0.7", {"link": "br1"}, "front")
    assert second.mac == "aa:00:00:77:77:77"
    await world.done(OP, instance_name="web1", nics=[["modify", "front", {"link": "default"}]])
    assert world.instance(WEB1).nics[0].nicparams == {}


async def test_older_forms_of_requests_are_understood(world: World) -> None:
    await world.add_instance()
    await world.done(OP, instance_name="web1", nics=[["add", {"ip": "10.0.0.1"}]], ignore_ipolicy=True)
    await world.done(OP, instance_name="web1", nics=[[0, {"ip": "10.0.0.2"}]], ignore_ipolicy=True)
    assert [nic.ip for nic in world.instance(WEB1).nics] == ["10.0.0.2", "10.0.0.1"]
    await world.done(OP, instance_name="web1", nics=[["remove", {}]], ignore_ipolicy=True)
    assert [nic.ip for nic in world.instance(WEB1).nics] == ["10.0.0.2"]


async def test_disks_are_added_changed_and_removed(world: World) -> None:
    await world.add_instance(sizes_mib=(64, 32))
    result = await world.done(
        OP,
        instance_name="web1",
        disks=[["modify", 0, {"mode": "ro", "name": "root"}], ["remove", 1, {}], ["add", -1, {"size": "16M"}]],
        ignore_ipolicy=True,
    )
    assert result == [
        ["disk.mode/0", "ro"],
        ["disk.name/0", "root"],
        ["disk/1", "remove"],
        ["disk/1", "add:size=16,mode=rw"],
    ]
    assert world.deeds() == ["disk.create", "disk.remove"]
    assert world.owed_at("disk.create") == ["disk.remove"]
    assert files(world) == files_of(world)
    assert [disk.size for disk in world.instance(WEB1).disks] == [64, 16]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("done", [False, True])
async def test_a_change_of_disks_is_finished_by_the_next_master(world: World, at: int, done: bool) -> None:
    await world.add_instance(sizes_mib=(64, 32, 16))
    disks = [["add", 0, {"size": 8}], ["remove", 3, {}], ["add", -1, {"size": 4}], ["remove", 1, {}]]
    crashed = await world.crash(OP, at=at, done=done, instance_name="web1", disks=disks, ignore_ipolicy=True)
    assert crashed == (at < 4)
    (job,) = await world.recover()
    assert job.status == "success", job.ops[0].result
    assert [disk.size for disk in world.instance(WEB1).disks] == [8, 32, 4]
    assert files(world) == files_of(world)
    assert world.owed() == []


async def test_a_new_disk_that_fails_leaves_everything_as_it_was(world: World) -> None:
    before = await world.add_instance(sizes_mib=(64, 32))
    world.fails[DiskRemove] = Failed("device is busy")
    job = await world.do(
        OP, instance_name="web1", disks=[["add", -1, {"size": 8}], ["remove", 1, {}]], ignore_ipolicy=True
    )
    assert job.status == "error"
    assert world.instance(WEB1) == before
    assert len(world.debts()) == 1  # removing the new disk failed too, so the node owes it
    world.fails = {DiskCreate: Failed("disk full")}
    assert (
        await world.failed(OP, instance_name="web1", disks=[["add", -1, {"size": 8}]], ignore_ipolicy=True)
        == "disk full"
    )
    assert world.instance(WEB1) == before
    assert files(world) == files_of(world)


async def test_devices_of_a_running_instance_change_only_for_its_next_start(world: World) -> None:
    await world.add_instance(running=True)
    add = {"nics": [["add", -1, {}]], "disks": [["add", -1, {"size": 8}]]}
    code, message = await world.refused(OP, instance_name="web1", ignore_ipolicy=True, **add)
    assert code == "wrong_state"
    assert "--no-hotplug" in message
    await world.done(OP, instance_name="web1", ignore_ipolicy=True, hotplug=False, **add)
    assert len(world.instance(WEB1).nics) == 2
    assert files(world) == files_of(world)
    code, message = await world.refused(OP, instance_name="web1", disks=[["remove", 1, {}]], hotplug=False)
    assert code == "wrong_state"
    assert "stop it before" in message
    await world.done(OP, instance_name="web1", disks=[["modify", 0, {"name": "root"}]])


async def test_memory_of_a_running_instance_changes_within_its_bounds(world: World) -> None:
    await world.add_instance(running=True, beparams={"minmem": 64, "maxmem": 128})
    assert await world.done(OP, instance_name="web1", runtime_mem=96) == [["runtime_memory", 96]]
    state = await world.state()
    assert state is not None
    assert state.memory_mib == 96
    assert world.owed_at("instance.balloon") == ["instance.balloon"]
    code, message = await world.refused(OP, instance_name="web1", runtime_mem=32)
    assert code == "wrong_input"
    assert "64 to 128 MiB" in message


async def test_memory_that_the_node_does_not_have_would_prevent_the_next_start(world: World) -> None:
    await world.add_instance(running=True)
    code, message = await world.refused(OP, instance_name="web1", beparams={"maxmem": 9000})
    assert code == "insufficient_resources"
    assert "8872 MiB" in message
    await world.done(OP, instance_name="web1", beparams={"maxmem": 9000}, force=True)


async def test_an_instance_is_marked_offline_and_online_again(world: World) -> None:
    await world.add_instance(running=True)
    code, _ = await world.refused(OP, instance_name="web1", offline=True)
    assert code == "wrong_state"
    await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1")
    assert await world.done(OP, instance_name="web1", offline=True) == [["admin_state", "offline"]]
    assert await world.done(OP, instance_name="web1", offline=False) == [["admin_state", "down"]]
    assert world.instance(WEB1).admin_state == "down"


async def test_the_policy_judges_only_what_the_change_makes_worse() -> None:
    world = World(ipolicy=POLICY)
    await world.add_instance(sizes_mib=(64, 500))
    await world.done(OP, instance_name="web1", beparams={"vcpus": 2})
    code, message = await world.refused(OP, instance_name="web1", beparams={"vcpus": 3})
    assert code == "wrong_input"
    assert "number of virtual CPUs 3 is not between 0 and 2" in message
    assert "size of disk 1" not in message
    job = await world.do(OP, instance_name="web1", beparams={"vcpus": 3}, ignore_ipolicy=True)
    assert said(job, "warning") == ["instance policy: number of virtual CPUs 3 is not between 0 and 2"]


async def test_hypervisor_objections_refuse_only_when_they_are_new(world: World) -> None:
    await world.add_instance()
    world.host().hypervisor.objections = ("QEMU is not there",)
    await world.done(OP, instance_name="web1", nics=[["modify", 0, {"ip": "10.0.0.9"}]])


async def test_on_an_offline_node_only_the_configuration_changes(world: World) -> None:
    await world.add_instance()
    world.put(changed(world.picture.nodes[NODE1], 1.0, offline=True))
    await world.done(OP, instance_name="web1", nics=[["add", -1, {}]], ignore_ipolicy=True)
    code, message = await world.refused(OP, instance_name="web1", disks=[["add", -1, {"size": 1}]])
    assert code == "wrong_state"
    assert "is offline" in message


async def test_disks_are_activated_and_put_away(world: World) -> None:
    instance = await world.add_instance(sizes_mib=(64, 32))
    rows = await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    assert rows == [
        [f"node1.{DOMAIN}", f"disk/{index}", disk.logical_id[1]] for index, disk in enumerate(instance.disks)
    ]
    assert world.owed_at("disk.assemble") == ["disk.shutdown", "disk.shutdown"]
    assert world.instance(WEB1).disks_active
    await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    await world.start_guest(world.instance(WEB1))
    code, message = await world.refused("OP_INSTANCE_DEACTIVATE_DISKS", instance_name="web1")
    assert code == "wrong_state"
    assert "has its disks open" in message
    await world.done("OP_INSTANCE_DEACTIVATE_DISKS", instance_name="web1", force=True)
    assert not world.instance(WEB1).disks_active


async def test_disks_of_another_size_or_without_data_are_not_activated(world: World) -> None:
    instance = await world.add_instance()
    world.host().files.grow(instance.disks[0].logical_id[1], 80 << 20)
    code, message = await world.refused("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    assert code == "wrong_state"
    assert "has 80 MiB and should have 64 MiB" in message
    await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1", ignore_size=True)
    world.host().files.remove(instance.disks[0].logical_id[1])
    code, message = await world.refused("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1", ignore_size=True)
    assert "has no data" in message


async def test_a_disk_grows_and_never_shrinks(world: World) -> None:
    instance = await world.add_instance()
    op: dict[str, Any] = {"op_id": "OP_INSTANCE_GROW_DISK", "instance_name": "web1", "disk": 0, "ignore_ipolicy": True}
    await world.done(**op, amount=16)
    await world.done(**op, amount=100, absolute=True)
    assert world.instance(WEB1).disks[0].size == 100
    assert world.host().files.size_bytes(instance.disks[0].logical_id[1]) == 100 << 20
    for more, code, words in (
        ({"amount": 50, "absolute": True}, "wrong_state", "cannot shrink"),
        ({"amount": 0}, "wrong_input", "at least 1 MiB"),
        ({"amount": 1, "disk": 1}, "wrong_input", "has no disk 1"),
        ({"amount": 99_000}, "insufficient_resources", "disk space are needed"),
        ({"amount": 1, "ignore_ipolicy": False}, "wrong_input", "size of disk 0 101 is not between"),
    ):
        refused_with, message = await world.refused(**(op | more))
        assert (refused_with, words in message) == (code, True), message
    await world.start_guest(world.instance(WEB1))
    code, message = await world.refused(**op, amount=1)
    assert code == "wrong_state"
    assert "stop the instance first" in message


@pytest.mark.parametrize("done", [False, True])
async def test_a_growth_is_finished_by_the_next_master_and_adds_up_once(world: World, done: bool) -> None:
    await world.add_instance()
    more = {"instance_name": "web1", "disk": 0, "amount": 16, "ignore_ipolicy": True}
    assert await world.crash("OP_INSTANCE_GROW_DISK", at=0, done=done, **more)
    (job,) = await world.recover()
    assert job.status == "success"
    assert world.instance(WEB1).disks[0].size == 80

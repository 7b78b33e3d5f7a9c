"""Creating, removing, renaming and reinstalling instances."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.disk import DiskCreate, DiskRemove, DiskRename
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.calls.os import OsInstall
from ganeti.model.objects import changed
from tests.unit.ops.world import DIRECTORY, DOMAIN, NODE1, World, said

WEB1 = f"web1.{DOMAIN}"
NEW: dict[str, Any] = {
    "instance_name": WEB1,
    "mode": "create",
    "disk_template": "file",
    "disks": [{"size": 1024}, {"size": "1g"}],
    "nics": [{}],
    "os_type": "tiny+default",
}


def files_of(world: World) -> list[str]:
    """The files that the stored instances should have."""
    return sorted(disk.logical_id[1] for each in world.picture.instances.values() for disk in each.disks)


def files(world: World) -> list[str]:
    """The files that are there, on any node."""
    return sorted(path for host in world.hosts.values() for path in host.disks())


async def test_a_new_instance_has_its_disks_and_runs(world: World) -> None:
    (name,) = await world.done("OP_INSTANCE_CREATE", **NEW)
    assert name in world.hosts
    assert files(world) == files_of(world)
    assert len(files(world)) == 2
    assert world.deeds() == ["disk.create", "disk.create", "os.install", "instance.start"]
    assert world.owed_at("disk.create") == ["disk.remove", "disk.remove"]
    assert world.owed_at("instance.start") == ["disk.remove", "disk.remove", "instance.stop"]


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("done", [False, True])
async def test_a_creation_that_the_master_did_not_survive_leaves_nothing(world: World, at: int, done: bool) -> None:
    assert await world.crash("OP_INSTANCE_CREATE", at=at, done=done, **NEW)
    (job,) = await world.recover()
    assert job.status == "error"
    assert "submit it again" in job.ops[0].result[1][0]
    assert files(world) == []
    assert [host.guests() for host in world.hosts.values()] == [[], [], []]
    assert not world.picture.instances


async def test_two_nics_of_a_new_instance_cannot_share_an_address(world: World) -> None:
    code, message = await world.refused("OP_INSTANCE_CREATE", **(NEW | {"nics": [{"ip": "10.0.0.1"}] * 2}))
    assert code == "already_exists"
    assert "10.0.0.1" in message


async def test_a_node_can_be_named_by_uuid_alone(world: World) -> None:
    assert await world.done("OP_INSTANCE_CREATE", **NEW, pnode_uuid=NODE1) == [f"node1.{DOMAIN}"]


async def test_creations_side_by_side_share_the_memory_there_is(world: World) -> None:
    ops = [
        {"OP_ID": "OP_INSTANCE_CREATE", **NEW, "instance_name": f"big{number}", "beparams": {"memory": 3000}}
        for number in range(4)
    ]
    jobs = await world.do_all(ops)
    assert sorted(job.status for job in jobs) == ["error", "success", "success", "success"]
    assert len({each.primary_node for each in world.picture.instances.values()}) == 3
    assert files(world) == files_of(world)


async def test_a_removed_instance_leaves_nothing(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(64, 32))
    assert await world.done("OP_INSTANCE_REMOVE", instance_name="web1") is None
    assert world.deeds() == ["instance.stop", "disk.remove", "disk.remove"]
    assert files(world) == []
    assert world.host().guests() == []
    assert not world.picture.instances


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("done", [False, True])
async def test_a_removal_is_finished_by_the_next_master(world: World, at: int, done: bool) -> None:
    await world.add_instance(running=True, sizes_mib=(64, 32))
    crashed = await world.crash("OP_INSTANCE_REMOVE", at=at, done=done, instance_name="web1")
    assert crashed == (at < 3)
    (job,) = await world.recover()
    assert job.status == "success"
    assert files(world) == []
    assert not world.picture.instances


async def test_a_removal_that_fails_says_what_is_true(world: World) -> None:
    await world.add_instance(running=True)
    world.fails[DiskRemove] = Failed("device is busy")
    assert await world.failed("OP_INSTANCE_REMOVE", instance_name="web1") == "device is busy"
    instance = world.instance(WEB1)
    assert (instance.admin_state, instance.disks_active) == ("down", False)
    assert await world.state() is None
    world.fails.clear()
    await world.done("OP_INSTANCE_REMOVE", instance_name="web1")


async def test_failures_of_a_removal_can_be_ignored_and_are_told(world: World) -> None:
    await world.add_instance(running=True)
    world.fails |= {DiskRemove: Failed("device is busy"), InstanceStop: Unavailable("no answer")}
    job = await world.do("OP_INSTANCE_REMOVE", instance_name="web1", ignore_failures=True)
    assert job.status == "success"
    assert [line.partition(";")[0] for line in said(job, "warning")] == ["no answer", "device is busy"]
    assert not world.picture.instances


async def test_an_instance_on_an_offline_node_is_removed_only_if_its_data_may_stay(world: World) -> None:
    await world.add_instance()
    world.put(changed(world.picture.nodes[NODE1], 1.0, offline=True))
    code, message = await world.refused("OP_INSTANCE_REMOVE", instance_name="web1")
    assert code == "wrong_state"
    assert "--ignore-failures" in message
    await world.done("OP_INSTANCE_REMOVE", instance_name="web1", ignore_failures=True)
    assert not world.picture.instances


async def test_a_renamed_instance_takes_its_disks_along(world: World) -> None:
    await world.add_instance(sizes_mib=(64, 32))
    new = f"db1.{DOMAIN}"
    assert await world.done("OP_INSTANCE_RENAME", instance_name="web1", new_name=new.upper()) == new
    assert files(world) == files_of(world)
    assert all(path.startswith(f"{DIRECTORY}/{new}/") for path in files(world))
    assert list(world.picture.instance_names) == [new]
    assert world.owed_at("disk.rename") == ["disk.rename"]
    ((script, guest, _, env),) = world.host().os.runs
    assert (script, guest.name, env["OLD_INSTANCE_NAME"]) == ("rename", new, WEB1)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("done", [False, True])
async def test_a_rename_is_finished_by_the_next_master(world: World, at: int, done: bool) -> None:
    await world.add_instance(sizes_mib=(64, 32))
    crashed = await world.crash("OP_INSTANCE_RENAME", at=at, done=done, instance_name="web1", new_name="db1")
    assert crashed == (at < 4)
    (job,) = await world.recover()
    assert job.status == "success"
    assert list(world.picture.instance_names) == ["db1"]
    assert files(world) == files_of(world)


async def test_a_rename_that_fails_halfway_is_taken_back(world: World) -> None:
    before = await world.add_instance(sizes_mib=(64, 32))
    files_before = files(world)
    world.fail_at = 2
    assert "told to fail" in await world.failed("OP_INSTANCE_RENAME", instance_name="web1", new_name="db1")
    assert world.deeds() == ["instance.stop", "disk.rename", "disk.rename", "disk.rename", "disk.rename"]
    assert world.instance(WEB1) == before
    assert files(world) == files_before


async def test_a_rename_does_not_touch_data_that_is_in_its_way(world: World) -> None:
    before = await world.add_instance(sizes_mib=(64, 32))
    there = before.disks[1].logical_id[1].replace(WEB1, "db1")
    world.host().files.make_dirs(there.rpartition("/")[0])
    world.host().files.write(there, b"somebody else's")
    code, message = await world.refused("OP_INSTANCE_RENAME", instance_name="web1", new_name="db1")
    assert (code, message) == ("already_exists", f"there is a disk at {there} already")


async def test_a_rename_script_that_fails_is_told_and_the_name_stays(world: World) -> None:
    await world.add_instance()
    world.host().os.fails["rename"] = "exit status 3"
    job = await world.do("OP_INSTANCE_RENAME", instance_name="web1", new_name="db1")
    assert job.status == "success"
    assert "exit status 3" in said(job, "warning")[0]
    assert list(world.picture.instance_names) == ["db1"]


async def test_a_rename_to_a_taken_bad_or_equal_name_is_refused(world: World) -> None:
    await world.add_instance()
    await world.add_instance("db1", number=2)
    for new_name, code, words in (
        (f"db1.{DOMAIN}", "resource_not_unique", "already in the cluster"),
        (WEB1, "wrong_input", "is called so already"),
        ("no spaces", "wrong_input", "not a valid instance name"),
    ):
        refused_with, message = await world.refused("OP_INSTANCE_RENAME", instance_name="web1", new_name=new_name)
        assert refused_with == code
        assert words in message


@pytest.mark.parametrize("op_id,more", [("OP_INSTANCE_RENAME", {"new_name": "db1"}), ("OP_INSTANCE_REINSTALL", {})])
async def test_what_needs_a_stopped_instance_is_refused_for_one_that_is_up_or_runs(
    world: World, op_id: str, more: dict[str, str]
) -> None:
    instance = await world.add_instance(running=True)
    code, message = await world.refused(op_id, instance_name="web1", **more)
    assert code == "wrong_state"
    assert "marked to be up" in message
    world.put(changed(instance, 1.0, admin_state="down"))
    code, message = await world.refused(op_id, instance_name="web1", **more)
    assert code == "wrong_state"
    assert "is running although marked down" in message


async def test_a_reinstalled_instance_has_the_new_os(world: World) -> None:
    await world.add_instance(osparams={"kept": "1", "gone": "2"})
    await world.done(
        "OP_INSTANCE_REINSTALL",
        instance_name="web1",
        os_type="tiny+big",
        osparams={"gone": None, "new": "3"},
        osparams_private={"key": "private"},
        osparams_secret={"password": "secret"},
    )
    instance = world.instance(WEB1)
    assert instance.os == "tiny+big"
    assert instance.osparams == {"kept": "1", "new": "3"}
    assert instance.osparams_private == {"key": "private"}
    ((script, _, params, env),) = world.host().os.runs
    assert (script, env["INSTANCE_REINSTALL"]) == ("create", "1")
    assert params == {"kept": "1", "new": "3", "key": "private", "password": "secret"}
    assert not any(b"secret" in entry.value.replace(b"osparams_secret", b"") for entry in world.disk.entries.values())


async def test_an_install_script_that_fails_leaves_the_os_as_it_was_written_down(world: World) -> None:
    before = await world.add_instance()
    world.fails[OsInstall] = Failed("mkfs: not found")
    assert await world.failed("OP_INSTANCE_REINSTALL", instance_name="web1", os_type="tiny+big") == "mkfs: not found"
    assert world.instance(WEB1) == before


async def test_a_reinstallation_is_refused(world: World) -> None:
    await world.add_instance()
    await world.add_instance("empty", number=2, sizes_mib=())
    for name, more, code, words in (
        ("web1", {"os_type": "nothing"}, "unknown_entity", "no OS 'nothing'"),
        ("web1", {"osparams": {"bad": "x"}}, "wrong_input", "'bad' is not known"),
        ("empty", {}, "wrong_input", "has no disks"),
    ):
        refused_with, message = await world.refused("OP_INSTANCE_REINSTALL", instance_name=name, **more)
        assert refused_with == code
        assert words in message


async def test_many_instances_are_placed_at_once(world: World) -> None:
    requests = [
        {"instance_name": f"big{number}", "mode": "create", "disk_template": "file", "disks": [{"size": 1024}],
         "nics": [{}], "os_type": "tiny", "beparams": {"memory": 3000}}
        for number in range(4)
    ]  # fmt: skip
    result = await world.done("OP_INSTANCE_MULTI_ALLOC", instances=requests)
    assert result["allocatable"] == ["big0", "big1", "big2"]
    assert result["failed"] == ["big3"]
    assert [job for _, job in result["jobs"]] == [job.id for job in world.submitted]
    assert {job.status for job in world.submitted} == {"success"}
    assert len({each.primary_node for each in world.picture.instances.values()}) == 3


async def test_many_instances_are_asked_about_once(world: World) -> None:
    requests = [
        {"instance_name": f"web{number}", "disk_template": "diskless", "nics": [{}], "no_install": True}
        for number in range(30)
    ]
    job = await world.do("OP_INSTANCE_MULTI_ALLOC", instances=requests, dry_run=True)
    assert len(job.ops[0].result["allocatable"]) == 30
    assert world.last_caller is not None
    assert len(world.last_caller.asked) == 2 * 3


@pytest.mark.parametrize(
    "instances,code,words",
    [
        ([], "wrong_input", "no instances were asked for"),
        ([{"instance_name": "a", "disks": 3}], "wrong_input", "instance a: Expected `array`"),
        ([{**NEW, "start": False}, {**NEW, "start": False}], "already_exists", "asked for twice"),
        ([{**NEW, "beparams": {"memory": 30_000}}], "insufficient_resources", "no node can take any"),
    ],
)
async def test_a_request_for_many_is_refused(
    world: World, instances: list[dict[str, Any]], code: str, words: str
) -> None:
    refused_with, message = await world.refused("OP_INSTANCE_MULTI_ALLOC", instances=instances)
    assert refused_with == code
    assert words in message


async def test_a_creation_whose_disk_fails_takes_the_others_back(world: World) -> None:
    world.fails[OsInstall] = Failed("the script failed")
    assert await world.failed("OP_INSTANCE_CREATE", **NEW) == "the script failed"
    assert files(world) == []
    world.fails = {DiskCreate: Failed("disk full"), DiskRename: Failed("never called")}
    assert await world.failed("OP_INSTANCE_CREATE", **NEW) == "disk full"
    assert files(world) == []

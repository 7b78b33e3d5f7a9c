"""Starting, stopping and restarting instances."""

from __future__ import annotations

import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.instance import InstanceStart
from ganeti.model.objects import changed
from tests.unit.ops.world import DOMAIN, NODE1, World, said

WEB1 = f"web1.{DOMAIN}"


async def test_a_started_instance_runs_and_is_marked_up(world: World) -> None:
    await world.add_instance()
    assert await world.done("OP_INSTANCE_STARTUP", instance_name="web1") is None
    state = await world.state()
    assert state is not None
    assert state.status == "running"
    instance = world.instance(WEB1)
    assert (instance.admin_state, instance.disks_active, instance.serial_no) == ("up", True, 2)
    assert world.owed_at("instance.start") == ["instance.stop"]
    assert world.owed() == []


async def test_starting_a_running_instance_changes_nothing(world: World) -> None:
    before = await world.add_instance(running=True)
    job = await world.do("OP_INSTANCE_STARTUP", instance_name="web1")
    assert job.status == "success"
    assert said(job) == [f"instance {WEB1} is running already"]
    assert world.deeds() == []
    assert world.instance(WEB1) == before


async def test_a_start_that_is_not_remembered_leaves_the_mark(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1", no_remember=True, startup_paused=True)
    state = await world.state()
    assert state is not None
    assert state.status == "paused"
    assert world.instance(WEB1).admin_state == "down"


async def test_parameters_of_one_start_are_not_kept(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1", beparams={"memory": "512M"})
    state = await world.state()
    assert state is not None
    assert state.memory_mib == 512
    assert world.instance(WEB1).beparams == {}


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({"hvparams": {"colour": "red"}}, "wrong_input", "has no parameter 'colour'"),
        ({"hvparams": {"migration_mode": "live"}}, "wrong_input", "only be set for the cluster"),
        ({"beparams": {"vcpus": 0}}, "wrong_input", "at least 1"),
        ({"beparams": {"memory": 5000}}, "insufficient_resources", "needs 5000 MiB of memory"),
        ({"instance_uuid": "somebody-else"}, "unknown_entity", "has UUID"),
    ],
)
async def test_a_start_is_refused(world: World, params: dict[str, object], code: str, words: str) -> None:
    await world.add_instance()
    refused_with, message = await world.refused("OP_INSTANCE_STARTUP", instance_name="web1", **params)
    assert refused_with == code
    assert words in message


async def test_a_start_without_memory_can_be_forced(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1", beparams={"memory": 5000}, force=True)


async def test_unknown_instances_are_not_known(world: World) -> None:
    for op_id in ("OP_INSTANCE_STARTUP", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REMOVE", "OP_INSTANCE_CONSOLE"):
        assert await world.refused(op_id, instance_name="nobody") == (
            "unknown_entity",
            "Instance 'nobody' not known",
        )


async def test_an_instance_marked_offline_is_not_started_stopped_or_restarted(world: World) -> None:
    await world.add_instance(admin_state="offline")
    for op_id, more in (
        ("OP_INSTANCE_STARTUP", {}),
        ("OP_INSTANCE_SHUTDOWN", {}),
        ("OP_INSTANCE_REBOOT", {"reboot_type": "hard"}),
    ):
        code, message = await world.refused(op_id, instance_name="web1", **more)
        assert code == "wrong_state"
        assert "is marked offline" in message


async def test_a_missing_bridge_is_told_before_anything_is_done(world: World) -> None:
    await world.add_instance()
    world.host().network.links.clear()
    code, message = await world.refused("OP_INSTANCE_STARTUP", instance_name="web1")
    assert code == "environment_error"
    assert "bridge xen-br0 is not on this node" in message


async def test_missing_data_is_told_before_anything_is_done(world: World) -> None:
    instance = await world.add_instance()
    world.host().files.remove(instance.disks[0].logical_id[1])
    code, message = await world.refused("OP_INSTANCE_STARTUP", instance_name="web1")
    assert code == "environment_error"
    assert "there is no data" in message


async def test_on_an_offline_node_a_start_is_only_marked_and_only_if_wanted(world: World) -> None:
    await world.add_instance()
    world.put(changed(world.picture.nodes[NODE1], 1.0, offline=True))
    code, message = await world.refused("OP_INSTANCE_STARTUP", instance_name="web1")
    assert code == "wrong_state"
    assert "is offline" in message
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1", ignore_offline_nodes=True)
    assert world.instance(WEB1).admin_state == "up"
    assert world.deeds() == []
    await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1", ignore_offline_nodes=True)
    assert world.instance(WEB1).admin_state == "down"


async def test_a_start_that_fails_is_taken_back(world: World) -> None:
    before = await world.add_instance()
    world.fails[InstanceStart] = Failed("QEMU said no")
    assert await world.failed("OP_INSTANCE_STARTUP", instance_name="web1") == "QEMU said no"
    assert world.deeds() == ["instance.start", "instance.stop"]
    assert world.instance(WEB1) == before


async def test_a_stopped_instance_is_down_and_marked_down(world: World) -> None:
    await world.add_instance(running=True)
    assert await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1") is None
    assert await world.state() is None
    instance = world.instance(WEB1)
    assert (instance.admin_state, instance.disks_active) == ("down", False)


async def test_stopping_a_stopped_instance_is_fine(world: World) -> None:
    before = await world.add_instance()
    await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1", timeout=0)
    assert world.instance(WEB1) == before


async def test_a_stop_that_is_not_remembered_leaves_the_mark(world: World) -> None:
    await world.add_instance(running=True)
    await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1", no_remember=True)
    assert await world.state() is None
    assert world.instance(WEB1).admin_state == "up"


async def test_a_user_shutdown_is_believed_only_of_a_guest_that_is_down(world: World) -> None:
    await world.add_instance(running=True)
    code, message = await world.refused("OP_INSTANCE_SHUTDOWN", instance_name="web1", admin_state_source="user")
    assert code == "wrong_state"
    assert "it is running" in message
    world.host().hypervisor.guest_powers_off(WEB1)
    await world.done("OP_INSTANCE_SHUTDOWN", instance_name="web1", admin_state_source="user")
    assert world.instance(WEB1).admin_state_source == "user"


async def test_a_silent_node_fails_a_stop_and_leaves_the_mark(world: World) -> None:
    await world.add_instance(running=True)
    world.silent.add(f"node1.{DOMAIN}")
    assert "does not answer" in await world.failed("OP_INSTANCE_SHUTDOWN", instance_name="web1")
    assert world.instance(WEB1).admin_state == "up"


@pytest.mark.parametrize(
    "kind,deeds",
    [
        ("soft", ["instance.reboot"]),
        ("hard", ["instance.stop", "instance.start"]),
        ("full", ["instance.stop", "instance.start"]),
    ],
)
async def test_a_restarted_instance_runs(world: World, kind: str, deeds: list[str]) -> None:
    await world.add_instance(running=True)
    await world.done("OP_INSTANCE_REBOOT", instance_name="web1", reboot_type=kind)
    assert world.deeds() == deeds
    state = await world.state()
    assert state is not None
    assert state.status == "running"
    assert world.host().hypervisor.boots(WEB1) == (2 if kind == "soft" else 1)


async def test_restarting_a_stopped_instance_starts_it(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_REBOOT", instance_name="web1", reboot_type="soft")
    assert world.deeds() == ["instance.start"]
    assert world.owed_at("instance.start") == ["instance.stop"]
    assert world.instance(WEB1).admin_state == "up"


async def test_what_could_not_be_started_again_is_not_stopped(world: World) -> None:
    await world.add_instance(running=True)
    world.host().network.links.clear()
    code, _ = await world.refused("OP_INSTANCE_REBOOT", instance_name="web1", reboot_type="hard")
    assert code == "environment_error"
    assert await world.state() is not None


@pytest.mark.parametrize("op_id", ["OP_INSTANCE_STARTUP", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REBOOT"])
@pytest.mark.parametrize("running", [False, True])
async def test_after_a_crash_of_the_master_the_job_is_done_all_the_same(op_id: str, running: bool) -> None:
    more = {"reboot_type": "full"} if op_id == "OP_INSTANCE_REBOOT" else {}
    for at in range(4):
        for done in (False, True):
            world = World(nodes=1)
            await world.add_instance(running=running)
            if not await world.crash(op_id, at=at, done=done, instance_name="web1", **more):
                continue
            (job,) = await world.recover()
            assert job.status == "success", job.ops[0].result
            up = op_id != "OP_INSTANCE_SHUTDOWN"
            assert (await world.state() is not None) == up
            assert world.instance(WEB1).admin_state == ("up" if up else "down")
            assert world.owed() == []


async def test_a_console_is_told_of_a_running_instance_only(world: World) -> None:
    await world.add_instance()
    code, message = await world.refused("OP_INSTANCE_CONSOLE", instance_name="web1")
    assert code == "wrong_state"
    assert "is not running" in message
    await world.start_guest(world.instance(WEB1))
    console = await world.done("OP_INSTANCE_CONSOLE", instance_name="web1")
    assert (console["instance"], console["kind"]) == (WEB1, "msg")


async def test_a_dry_run_tells_its_steps_and_does_nothing(world: World) -> None:
    await world.add_instance()
    job = await world.do("OP_INSTANCE_STARTUP", instance_name="web1", dry_run=True)
    assert job.status == "success"
    assert f"step 1: start instance {WEB1} with fake on node1.{DOMAIN}" in said(job)
    assert world.deeds() == []
    assert await world.state() is None


async def test_a_node_that_falls_silent_owes_the_reversal(world: World) -> None:
    await world.add_instance()
    world.fails[InstanceStart] = Unavailable("no answer in time")
    await world.crash("OP_INSTANCE_STARTUP", at=0, done=False, instance_name="web1")
    world.fails.clear()
    world.silent.add(f"node1.{DOMAIN}")
    (job,) = await world.recover()
    assert job.status == "error"
    assert len(world.debts()) == 1

"""Migration: one owner at every moment, whatever dies on the way; and what is done instead where nothing runs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.instance import InstanceBalloon
from ganeti.contract.calls.migration import (
    MigrationFinish,
    MigrationLeave,
    MigrationReceive,
    MigrationSend,
    MigrationWatch,
)
from ganeti.contract.guest import Guest
from ganeti.model.objects import changed
from tests.unit.ops.world import DOMAIN, NODE1, NODE2, NODE3, World, said

WEB1 = f"web1.{DOMAIN}"
OP = "OP_INSTANCE_MIGRATE"


async def states(world: World, name: str = WEB1) -> dict[int, str]:
    """Node number to what its guest is: its status, or what copy it is."""
    found: dict[int, str] = {}
    for number in (1, 2, 3):
        state = await world.state(name, node=number)
        if state is not None:
            found[number] = state.migration or state.status
    return found


async def owner(world: World) -> int:
    return {NODE1: 1, NODE2: 2, NODE3: 3}[world.instance(WEB1).primary_node]


async def shared(world: World, **fields: Any) -> None:
    await world.add_instance(template="sharedfile", **fields)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")


async def local(world: World, **fields: Any) -> None:
    await world.add_instance(sizes_mib=(64, 32), **fields)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")


async def test_a_running_guest_goes_on_elsewhere(world: World) -> None:
    await shared(world)
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success", job.ops[0].result
    assert await states(world) == {2: "running"}
    assert await owner(world) == 2
    assert world.owed_at("migration.receive") == ["migration.abort"]
    assert world.owed_at("migration.send") == ["migration.abort", "migration.keep"]
    assert world.owed_at("migration.finish") == ["migration.leave", "migration.finish"]
    assert world.owed() == world.debts() == []
    lines = said(job)
    assert any("left" in line and "MiB/s" in line for line in lines)
    assert any("stood still for about" in line for line in lines)


async def test_its_disks_go_along_when_they_are_on_one_node(world: World) -> None:
    await local(world)
    before = world.host(1).disks()
    await world.done(OP, instance_name="web1", target_node="node3")
    assert await states(world) == {3: "running"}
    assert world.host(1).disks() == []
    assert world.host(3).disks() == before
    assert world.owed_at("disk.create") == ["disk.remove", "disk.remove"]
    assert world.owed_at("migration.finish") == ["disk.remove", "disk.remove", "migration.leave", "migration.finish"]


async def test_the_plan_says_what_would_be_done_and_why(world: World) -> None:
    await local(world)
    job = await world.do(OP, instance_name="web1", dry_run=True)
    assert job.status == "success", job.ops[0].result
    lines = said(job)
    assert any("copy it while" in line for line in lines)
    assert any("is taken" in line for line in lines)
    assert await states(world) == {1: "running"}
    assert world.deeds() == []


@pytest.mark.parametrize("call", [MigrationReceive, MigrationSend, MigrationWatch])
@pytest.mark.parametrize("error", [Failed("the cause that QEMU gave"), Unavailable("silence")])
async def test_a_failure_before_the_hand_over_leaves_it_running_at_home(
    world: World, call: Any, error: Exception
) -> None:
    await local(world)
    before = world.host(1).disks()
    world.fails[call] = error  # type: ignore[assignment]
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert str(error) in sentence
    assert await states(world) == {1: "running"}
    assert await owner(world) == 1
    assert world.host(1).disks() == before
    assert world.host(2).disks() == []
    assert world.debts() == []


async def test_what_the_hypervisor_says_is_told(world: World) -> None:
    await shared(world)
    world.host(1).hypervisor.migration_error = "Unable to write to socket: Broken pipe"
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "Unable to write to socket: Broken pipe" in sentence
    assert await states(world) == {1: "running"}


async def test_a_target_that_falls_silent_on_the_way_is_cleaned_when_it_is_back(world: World) -> None:
    await local(world)
    world.fails[MigrationWatch] = Failed("connection lost")
    hypervisor = world.host(2).hypervisor
    receive = hypervisor.receive

    async def receive_and_die(*args: Any, **more: Any) -> Any:
        landing = await receive(*args, **more)
        world.silent.add(f"node2.{DOMAIN}")
        return landing

    hypervisor.receive = receive_and_die  # type: ignore[method-assign]
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "error"
    assert (await states(world))[1] == "running"
    assert len(world.debts()) == 3
    world.silent.clear()
    await world.add_instance("db1", number=9, node=2)
    await world.done("OP_INSTANCE_STARTUP", instance_name="db1")
    assert await states(world) == {1: "running"}
    assert [path for path in world.host(2).disks() if "web1" in path] == []
    assert world.debts() == []


async def test_a_copy_that_is_lost_at_the_last_moment_is_made_good_by_the_source(world: World) -> None:
    await local(world)
    world.fails[MigrationFinish] = Failed("the copy is gone")
    # It really is gone.
    hypervisor = world.host(2).hypervisor
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "the copy is gone; it goes on at node node1" in sentence
    assert await states(world) == {1: "running"}
    assert await owner(world) == 1
    assert world.host(2).disks() == []
    assert await hypervisor.state(WEB1) is None


async def test_a_target_that_falls_silent_at_the_last_moment_never_makes_two(world: World) -> None:
    await shared(world)
    world.fails[MigrationFinish] = Unavailable("no answer")
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "error"
    assert "--cleanup" in job.ops[0].result[1][0]
    assert await states(world) == {1: "sent", 2: "arrived"}
    assert await owner(world) == 2
    (debt,) = world.debts()
    assert NODE2 in debt
    world.fails.clear()
    await world.done(OP, instance_name="web1", cleanup=True)
    assert await states(world) == {2: "running"}
    assert world.debts() == []


async def test_a_target_that_died_at_the_last_moment_is_given_up_by_hand(world: World) -> None:
    await shared(world)
    world.fails[MigrationFinish] = Unavailable("no answer")
    await world.do(OP, instance_name="web1", target_node="node2")
    world.fails.clear()
    world.silent.add(f"node2.{DOMAIN}")
    sentence = await world.failed(OP, instance_name="web1", cleanup=True)
    assert "mark it offline" in sentence
    assert (await states(world))[1] == "sent"
    world.put(changed(world.picture.nodes[NODE2], 0, offline=True))
    await world.done(OP, instance_name="web1", cleanup=True)
    assert await owner(world) == 1
    assert (await states(world))[1] == "running"
    # It was not dead: it comes back with its copy, and must not let it run.
    world.silent.clear()
    world.put(changed(world.picture.nodes[NODE2], 0, offline=False))
    await world.add_instance("db1", number=9, node=2)
    await world.done("OP_INSTANCE_STARTUP", instance_name="db1")
    assert await states(world) == {1: "running"}
    assert world.debts() == []


async def test_a_source_that_cannot_be_cleaned_owes_it(world: World) -> None:
    await local(world)
    world.fails[MigrationLeave] = Unavailable("no answer")
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success"
    assert any("could not be taken away yet" in line for line in said(job, "warning"))
    assert await states(world) == {1: "sent", 2: "running"}
    assert len(world.debts()) == 3
    world.fails.clear()
    await world.add_instance("db1", number=9, node=1)
    await world.done("OP_INSTANCE_STARTUP", instance_name="db1")
    assert await states(world) == {2: "running"}
    assert [path for path in world.host(1).disks() if "web1" in path] == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("template", ["file", "sharedfile"])
async def test_a_master_that_dies_at_any_deed_leaves_one_running_guest_with_its_disks(
    done: bool, template: str
) -> None:
    at, more = 0, True
    while more:
        world = World()
        await world.add_instance(template=template)
        await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
        more = await world.crash(OP, at=at, done=done, instance_name="web1", target_node="node2")
        await world.recover()
        here = await owner(world)
        assert await states(world) == {here: "running"}, at
        assert world.owed() == world.debts() == []
        if template == "file":
            assert [bool(world.host(number).disks()) for number in (1, 2)] == [here == 1, here == 2], at
        at += 1
    assert at >= 7


async def test_a_frozen_guest_stays_frozen(world: World) -> None:
    await shared(world)
    guest = Guest(name=WEB1, uuid="", hypervisor="fake", hvparams={}, maxmem_mib=128, minmem_mib=128, vcpus=1)
    await world.host(1).hypervisor.pause(guest)
    await world.done(OP, instance_name="web1", target_node="node2")
    assert await states(world) == {2: "paused"}


async def test_what_does_not_run_is_not_migrated_unless_a_failover_will_do(world: World) -> None:
    await world.add_instance(template="sharedfile")
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_state"
    assert "--allow-failover" in sentence
    await world.done(OP, instance_name="web1", target_node="node2", allow_failover=True)
    assert await owner(world) == 2


async def test_an_instance_that_always_fails_over_does(world: World) -> None:
    await shared(world, beparams={"always_failover": True})
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success"
    assert "instance.start" in world.deeds()
    assert await states(world) == {2: "running"}
    assert any("always_failover" in line for line in said(job))


async def test_memory_is_brought_down_to_what_the_target_has(world: World) -> None:
    await shared(world, beparams={"minmem": 64, "maxmem": 128})
    await world.add_instance("fat", number=9, template="sharedfile", running=True, node=2)
    # 4096 MiB less what fills it up to 100 MiB.
    hypervisor = world.host(2).hypervisor
    hypervisor._memory_node_mib = 4096 - 128 - 100
    job = await world.do(OP, instance_name="web1", target_node="node2", allow_runtime_changes=False)
    assert "128 MiB of memory needed, 100 MiB free" in job.ops[0].result[1][0]
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success", job.ops[0].result
    state = await world.state(node=2)
    assert state is not None
    assert state.memory_mib == 100
    assert world.last_caller is not None
    assert any(isinstance(call, InstanceBalloon) for _, call in world.last_caller.deeds)


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({"target_node": "node1"}, "wrong_state", "is on node node1.example.com already"),
        ({"target_node": "node9"}, "unknown_entity", "not known"),
        ({"iallocator": "."}, "wrong_input", "-I"),
        ({"mode": "live", "live": True}, "wrong_input", "cannot be given both"),
        ({"cleanup": True, "target_node": "node2"}, "wrong_input", "leave the target node out"),
    ],
)
async def test_a_migration_is_refused(world: World, params: dict[str, Any], code: str, words: str) -> None:
    await shared(world)
    got, sentence = await world.refused(OP, instance_name="web1", **params)
    assert got == code
    assert words in sentence


async def test_a_source_marked_offline_is_refused_with_the_way_out(world: World) -> None:
    await shared(world)
    world.put(changed(world.picture.nodes[NODE1], 0, offline=True))
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_state"
    assert "failover" in sentence


async def test_data_in_the_way_and_a_missing_bridge_are_told_at_once(world: World) -> None:
    await local(world)
    (disk, _) = world.instance(WEB1).disks
    await world.host(2).host.storage("file").create(disk, None)  # type: ignore[arg-type]
    world.host(2).network.links.remove("xen-br0")
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "insufficient_resources"
    assert "there is data at" in sentence
    assert "xen-br0" in sentence


async def test_cleaning_up_what_is_in_order_changes_nothing(world: World) -> None:
    await shared(world)
    before = world.instance(WEB1)
    await world.done(OP, instance_name="web1", cleanup=True)
    assert world.instance(WEB1) == before
    assert world.deeds() == []


async def test_cleaning_up_writes_down_where_it_runs(world: World) -> None:
    await shared(world)
    world.put(msgspec.structs.replace(world.instance(WEB1), primary_node=NODE3))
    await world.done("OP_INSTANCE_FAILOVER", instance_name="web1", cleanup=True)
    assert await owner(world) == 1


async def test_an_instance_that_runs_twice_is_left_to_its_operator(world: World) -> None:
    await shared(world)
    await world.start_guest(world.instance(WEB1), node=2)
    code, sentence = await world.refused(OP, instance_name="web1", cleanup=True)
    assert code == "wrong_state"
    assert "node1.example.com and node2.example.com" in sentence


async def test_a_node_is_emptied_by_a_job_for_each_instance(world: World) -> None:
    await shared(world)
    await world.add_instance("db1", number=9, template="sharedfile")
    await world.done("OP_INSTANCE_STARTUP", instance_name="db1")
    result = await world.done("OP_NODE_MIGRATE", node_name="node1", target_node="node3")
    assert [accepted for accepted, _ in result["jobs"]] == [True, True]
    assert [job.status for job in world.submitted if job.ops[0].op_id == OP] == ["success", "success"]
    assert await states(world) == {3: "running"}
    assert await states(world, f"db1.{DOMAIN}") == {3: "running"}


@pytest.mark.parametrize("target,words", [("node1", "its own target"), ("node2", "is drained")])
async def test_emptying_a_node_is_refused(world: World, target: str, words: str) -> None:
    await shared(world)
    world.put(changed(world.picture.nodes[NODE2], 0, drained=True))
    _, sentence = await world.refused("OP_NODE_MIGRATE", node_name="node1", target_node=target)
    assert words in sentence

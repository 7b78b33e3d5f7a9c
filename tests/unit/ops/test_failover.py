"""Failing over: one owner at every moment, whatever dies."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.model.objects import Group, Node, Uuid, changed
from tests.unit.ops.world import DOMAIN, GROUP, NODE1, NODE2, NODE3, SHARED, World, said, uuid

WEB1 = f"web1.{DOMAIN}"
OP = "OP_INSTANCE_FAILOVER"


async def running_on(world: World, name: str = WEB1) -> list[int]:
    """The numbers of the nodes where the guest is."""
    return [number for number in (1, 2, 3) if await world.state(name, node=number) is not None]


async def shared(world: World, **fields: Any) -> None:
    await world.add_instance(template="sharedfile", running=bool(fields.pop("running", True)), **fields)


async def test_an_instance_ends_here_and_begins_there(world: World) -> None:
    await shared(world)
    assert await world.done(OP, instance_name="web1", target_node="node2") is None
    assert await running_on(world) == [2]
    instance = world.instance(WEB1)
    assert (instance.primary_node, instance.admin_state) == (NODE2, "up")
    assert world.deeds() == ["instance.stop", "instance.start"]
    assert world.debts() == []


async def test_an_instance_that_is_down_only_changes_its_owner(world: World) -> None:
    await shared(world, running=False)
    await world.done(OP, instance_name="web1", target_node="node3")
    assert await running_on(world) == []
    assert world.instance(WEB1).primary_node == NODE3


async def test_without_a_target_the_node_with_most_memory_is_taken_and_the_plan_says_so(world: World) -> None:
    await shared(world)
    await world.add_instance("fat", number=9, template="sharedfile", running=True, node=2)
    job = await world.do(OP, instance_name="web1", dry_run=True)
    assert job.status == "success"
    lines = said(job)
    assert "because: node3.example.com is taken: 3.9G of memory left with the instance" in lines
    assert any("node2.example.com would do too" in line for line in lines)
    assert await running_on(world) == [1]
    await world.done(OP, instance_name="web1")
    assert await running_on(world) == [3]


async def test_a_dead_source_marked_offline_owes_the_end_of_its_guest(world: World) -> None:
    await shared(world)
    world.silent.add(f"node1.{DOMAIN}")
    world.put(changed(world.picture.nodes[NODE1], 0, offline=True))
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success", job.ops[0].result
    assert any("is offline" in line for line in said(job, "warning"))
    assert world.instance(WEB1).primary_node == NODE2
    (debt,) = world.debts()
    assert debt.startswith(f"debt/{NODE1}/")
    # The host comes back with its guest, a split that must not last: it obeys before it gets anything new to do.
    world.silent.clear()
    world.put(changed(world.picture.nodes[NODE1], 0, offline=False))
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    await world.add_instance("db1", number=7, template="sharedfile")
    await world.done("OP_INSTANCE_STARTUP", instance_name="db1")
    assert await running_on(world) == [2]
    assert world.debts() == []


async def test_a_silent_source_is_not_taken_for_dead(world: World) -> None:
    await shared(world)
    world.silent.add(f"node1.{DOMAIN}")
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "mark it offline" in sentence
    assert "--ignore-consistency" in sentence
    assert world.instance(WEB1).primary_node == NODE1


async def test_a_silent_source_can_be_declared_dead(world: World) -> None:
    await shared(world)
    world.silent.add(f"node1.{DOMAIN}")
    job = await world.do(OP, instance_name="web1", target_node="node2", ignore_consistency=True)
    assert job.status == "success", job.ops[0].result
    assert world.instance(WEB1).primary_node == NODE2
    assert len(world.debts()) == 1


async def test_a_stop_that_fails_leaves_everything_as_it_was(world: World) -> None:
    await shared(world)
    world.fails[InstanceStop] = Failed("QEMU does not end")
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "QEMU does not end" in sentence
    assert world.instance(WEB1).primary_node == NODE1
    assert await running_on(world) == [1]


async def test_a_target_that_says_no_sends_it_back(world: World) -> None:
    await shared(world)
    refusing = world.host(2).hypervisor

    async def start(*_: object, **__: object) -> None:
        raise Failed("QEMU says: no such machine")

    refusing.start = start  # type: ignore[method-assign]
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "no such machine; it runs on node node1.example.com again" in sentence
    assert world.instance(WEB1).primary_node == NODE1
    assert await running_on(world) == [1]


async def test_a_target_that_does_not_answer_owns_it_all_the_same(world: World) -> None:
    await shared(world)
    world.fails[InstanceStart] = Unavailable("no answer")
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "whether it was started there is not known" in sentence
    assert world.instance(WEB1).primary_node == NODE2
    assert await running_on(world) == []


@pytest.mark.parametrize("done", [False, True])
async def test_a_master_that_dies_leaves_one_owner_and_never_two_guests(done: bool) -> None:
    at, more = 0, True
    while more:
        world = World()
        await shared(world)
        more = await world.crash(OP, at=at, done=done, instance_name="web1", target_node="node2")
        await world.recover()
        owner = 1 if world.instance(WEB1).primary_node == NODE1 else 2
        assert await running_on(world) in ([], [owner])
        await world.done("OP_INSTANCE_STARTUP", instance_name="web1")  # what the watcher does
        assert await running_on(world) == [owner]
        at += 1
    assert at == 3


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({"target_node": "node1"}, "wrong_state", "is on node node1.example.com already"),
        ({"target_node": "node9"}, "unknown_entity", "Node 'node9' not known"),
        ({"iallocator": "hail"}, "wrong_input", "-I"),
        ({"instance_name": "nobody"}, "unknown_entity", "not known"),
    ],
)
async def test_a_failover_is_refused(world: World, params: dict[str, object], code: str, words: str) -> None:
    await shared(world)
    got, sentence = await world.refused(OP, **({"instance_name": "web1"} | params))
    assert got == code
    assert words in sentence


@pytest.mark.parametrize("field,words", [("offline", "offline"), ("drained", "drained"), ("vm_capable", "vm-capable")])
async def test_a_node_that_takes_no_instances_is_refused(world: World, field: str, words: str) -> None:
    await shared(world)
    world.put(changed(world.picture.nodes[NODE2], 0, **{field: field != "vm_capable"}))
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_state"
    assert words in sentence


async def test_data_on_one_node_does_not_fail_over_and_the_ways_out_are_told(world: World) -> None:
    await world.add_instance(running=True)
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_input"
    assert "gnt-instance migrate" in sentence
    assert "move" in sentence


async def test_a_bridge_or_memory_that_is_missing_there_is_told(world: World) -> None:
    await shared(world)
    world.host(2).network.links.remove("xen-br0")
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "insufficient_resources"
    assert "xen-br0" in sentence
    await world.add_instance("big", number=5, template="sharedfile", running=True, beparams={"maxmem": 5000})
    code, sentence = await world.refused(OP, instance_name="big", target_node="node3")
    assert code == "insufficient_resources"
    assert "5000 MiB of memory needed" in sentence


async def test_a_shared_directory_that_is_not_shared_is_noticed(world: World) -> None:
    await shared(world)
    (disk,) = world.instance(WEB1).disks
    assert disk.logical_id[1].startswith(SHARED)
    world.host(1).shared.remove(disk.logical_id[1])
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "insufficient_resources"
    assert "there is no data" in sentence


async def test_the_policy_of_the_other_group_counts(world: World) -> None:
    other, node4 = Uuid("22222222-0000-4000-8000-000000000000"), uuid(0xA0, 2)
    await shared(world)
    world.put(Group(uuid=other, name="small", ipolicy={"disk-templates": ["file"]}))
    world.put(changed(world.picture.nodes[node4], 0, group=other))
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_input"
    assert "--ignore-ipolicy" in sentence
    job = await world.do(OP, instance_name="web1", target_node="node2", ignore_ipolicy=True)
    assert job.status == "success"
    assert any("sharedfile is not allowed" in line for line in said(job, "warning"))


async def test_only_nodes_of_its_group_are_chosen(world: World) -> None:
    await shared(world)
    other = Uuid("22222222-0000-4000-8000-000000000000")
    world.put(Group(uuid=other, name="far"))
    for node in (NODE2, NODE3):
        world.put(changed(world.picture.nodes[node], 0, group=other))
    code, sentence = await world.refused(OP, instance_name="web1")
    assert code == "insufficient_resources"
    assert "group default" in sentence
    assert world.picture.nodes[NODE1].group == GROUP
    assert isinstance(world.picture.nodes[NODE1], Node)

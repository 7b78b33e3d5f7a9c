"""Disks that should be accessible: found by asking nodes what they have and what is linked there."""

from __future__ import annotations

from ganeti.model.objects import changed
from tests.unit.ops.world import DOMAIN, NODE3, World, said

WEB1, WEB2 = f"web1.{DOMAIN}", f"web2.{DOMAIN}"


async def test_accessible_disks_and_those_that_need_not_be_are_fine(world: World) -> None:
    await world.add_instance(sizes_mib=(64, 64))
    await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    await world.add_instance("web2", number=2)
    assert await world.done("OP_GROUP_VERIFY_DISKS", group_name="default") == [{}, [], {}]


async def test_disks_are_inactive_after_a_reboot_until_they_are_activated(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    world.host().files.lose_power()
    assert await world.done("OP_GROUP_VERIFY_DISKS", group_name="default", is_strict=False) == [{}, [WEB1], {}]
    await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name="web1")
    assert await world.done("OP_GROUP_VERIFY_DISKS", group_name="default") == [{}, [], {}]


async def test_missing_data_and_silent_nodes_are_told_apart(world: World) -> None:
    one = await world.add_instance()
    await world.add_instance("web2", number=2, node=2)
    await world.add_instance("web3", number=3, node=3)
    for name in ("web1", "web2", "web3"):
        await world.done("OP_INSTANCE_ACTIVATE_DISKS", instance_name=name)
    world.host().files.remove(one.disks[0].logical_id[1])
    world.silent.add(f"node2.{DOMAIN}")
    world.put(changed(world.picture.nodes[NODE3], 1.0, offline=True))
    errors, inactive, missing = await world.done("OP_GROUP_VERIFY_DISKS", group_name="default")
    assert errors == {f"node2.{DOMAIN}": f"node node2.{DOMAIN} does not answer"}
    assert inactive == []
    assert missing == {WEB1: [[f"node1.{DOMAIN}", one.disks[0].logical_id[1]]]}


async def test_a_cluster_is_verified_group_by_group(world: World) -> None:
    result = await world.done("OP_CLUSTER_VERIFY_DISKS")
    ((accepted, job),) = result["jobs"]
    assert accepted
    assert [(each.id, each.ops[0].op_id) for each in world.submitted] == [(job, "OP_GROUP_VERIFY_DISKS")]
    code, message = await world.refused("OP_CLUSTER_VERIFY_DISKS", group_name="nowhere")
    assert (code, message) == ("unknown_entity", "Node group 'nowhere' not known")


async def test_sizes_that_are_written_down_wrong_are_corrected(world: World) -> None:
    one = await world.add_instance(sizes_mib=(64, 32))
    await world.add_instance("web2", number=2, node=2)
    world.host().files.grow(one.disks[1].logical_id[1], 48 << 20)
    assert await world.done("OP_CLUSTER_REPAIR_DISK_SIZES", dry_run=True) == [[WEB1, 1, "size", 48]]
    assert world.instance(WEB1) == one
    assert await world.done("OP_CLUSTER_REPAIR_DISK_SIZES") == [[WEB1, 1, "size", 48]]
    assert [disk.size for disk in world.instance(WEB1).disks] == [64, 48]
    assert await world.done("OP_CLUSTER_REPAIR_DISK_SIZES", instances=["web1"]) == []


async def test_disks_that_cannot_be_measured_are_told_and_left_alone(world: World) -> None:
    one = await world.add_instance()
    two = await world.add_instance("web2", number=2, node=2)
    world.host().files.remove(one.disks[0].logical_id[1])
    world.silent.add(f"node2.{DOMAIN}")
    job = await world.do("OP_CLUSTER_REPAIR_DISK_SIZES")
    assert job.ops[0].result == []
    assert said(job, "warning") == [
        f"disk 0 of instance {WEB1} has no data ({one.disks[0].logical_id[1]})",
        f"the disks on node node2.{DOMAIN} were not measured: node node2.{DOMAIN} does not answer",
    ]
    assert (world.instance(WEB1), world.instance(WEB2)) == (one, two)

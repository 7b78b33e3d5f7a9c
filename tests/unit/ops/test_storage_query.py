"""The places where nodes keep disks."""

from __future__ import annotations

from tests.unit.ops.world import DIRECTORY, DOMAIN, SHARED, World, said


async def test_each_node_tells_its_room(world: World) -> None:
    await world.add_instance(sizes_mib=(1024,), node=2)
    rows = await world.done("OP_NODE_QUERY_STORAGE", output_fields=["node", "type", "name", "size", "used", "free"])
    assert [row[0] for row in rows] == [f"node{number}.{DOMAIN}" for number in (1, 2, 3)]
    assert rows[1] == [f"node2.{DOMAIN}", "file", DIRECTORY, 65536, 1024, 64512]
    shared = await world.done(
        "OP_NODE_QUERY_STORAGE", output_fields=["name"], storage_type="sharedfile", nodes=["node1"]
    )
    assert shared == [[SHARED]]
    assert await world.done("OP_NODE_QUERY_STORAGE", output_fields=["name"], name="/elsewhere") == []


async def test_a_silent_node_is_told_and_has_no_row(world: World) -> None:
    world.silent.add(f"node3.{DOMAIN}")
    job = await world.do("OP_NODE_QUERY_STORAGE", output_fields=["node", "allocatable"])
    assert job.ops[0].result == [[f"node1.{DOMAIN}", True], [f"node2.{DOMAIN}", True]]
    assert said(job, "warning") == [
        f"node node3.{DOMAIN} does not tell its storage: node node3.{DOMAIN} does not answer"
    ]


async def test_unknown_fields_and_types_are_refused(world: World) -> None:
    code, message = await world.refused("OP_NODE_QUERY_STORAGE", output_fields=["colour"])
    assert (code, message.startswith("there is no storage field 'colour'")) == ("wrong_input", True)
    code, message = await world.refused("OP_NODE_QUERY_STORAGE", output_fields=["node"], storage_type="lvm-vg")
    assert "it has file, sharedfile" in message

"""Node groups: made, changed, renamed, given nodes and removed; and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.ops.world import World


async def test_a_group_lives_and_goes(world: World) -> None:
    await world.done("OP_GROUP_ADD", group_name="rack2", alloc_policy="last_resort", ndparams={"spindle_count": "4"})
    group = world.picture.group("rack2")
    assert (group.alloc_policy, group.ndparams) == ("last_resort", {"spindle_count": 4})

    await world.done("OP_GROUP_RENAME", group_name="rack2", new_name="rack3")
    assert world.picture.group("rack3").uuid == group.uuid

    changed = await world.done("OP_GROUP_SET_PARAMS", group_name="rack3", ipolicy={"vcpu-ratio": 2})
    assert changed == [["ipolicy", {"vcpu-ratio": 2.0}]]

    await world.done("OP_GROUP_REMOVE", group_name="rack3")
    assert "rack3" not in world.picture.group_names


async def test_a_group_with_nodes_stays(world: World) -> None:
    await world.done("OP_GROUP_ADD", group_name="rack2")
    node = sorted(node.name for node in world.picture.nodes.values())[-1]
    await world.done("OP_GROUP_ASSIGN_NODES", group_name="rack2", nodes=[node])
    assert world.picture.node(node).group == world.picture.group("rack2").uuid
    code, message = await world.refused("OP_GROUP_REMOVE", group_name="rack2")
    assert (code, "has nodes" in message) == ("wrong_state", True), message


async def test_the_last_group_stays(world: World) -> None:
    (only,) = world.picture.group_names
    code, _ = await world.refused("OP_GROUP_REMOVE", group_name=only)
    assert code == "wrong_state"


@pytest.mark.parametrize(
    "op, params, code, words",
    [
        ("OP_GROUP_ADD", {"group_name": "default"}, "already_exists", "exists already"),
        ("OP_GROUP_ADD", {"group_name": "two words"}, "wrong_input", "no name for a node group"),
        ("OP_GROUP_ADD", {"group_name": "x", "ndparams": {"nosuch": 1}}, "wrong_input", "has no parameter 'nosuch'"),
        ("OP_GROUP_ADD", {"group_name": "x", "ipolicy": {"std": {}}}, "wrong_input", "no policy setting 'std' here"),
        ("OP_GROUP_SET_PARAMS", {"group_name": "default"}, "wrong_input", "no change"),
        ("OP_GROUP_SET_PARAMS", {"group_name": "nosuch", "alloc_policy": "preferred"}, "unknown_entity", "nosuch"),
        ("OP_GROUP_ASSIGN_NODES", {"group_name": "default", "nodes": ["nosuch"]}, "unknown_entity", "nosuch"),
        ("OP_GROUP_RENAME", {"group_name": "default", "new_name": ""}, "wrong_input", "no name"),
    ],
)
async def test_what_is_wrong_is_refused(
    world: World, op: str, params: dict[str, object], code: str, words: str
) -> None:
    refused_with, message = await world.refused(op, **params)
    assert (refused_with, words in message) == (code, True), message

"""Power of nodes by an out-of-band program, which runs on the master."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.model.objects import changed
from sim.processes import FakeRunner, Outcome
from tests.unit.ops.world import DOMAIN, NODE2, NODE3, World, said

PROGRAM = "/usr/local/bin/power"


@pytest.fixture
def runner(world: World) -> FakeRunner:
    """Programs of the master; node2 and node3 have one for their power, which does as told."""
    for node in (NODE2, NODE3):
        world.put(changed(world.picture.nodes[node], 1.0, ndparams={"oob_program": PROGRAM}))
    found = world.host().host.runner
    assert isinstance(found, FakeRunner)
    found.on(PROGRAM, Outcome())
    return found


async def power(world: World, command: str, *nodes: str, **more: Any) -> Any:
    """The result."""
    return await world.done("OP_OOB_COMMAND", command=command, node_names=nodes, power_delay=0.0, **more)


async def test_power_goes_and_comes_and_is_written_down(world: World, runner: FakeRunner) -> None:
    assert await power(world, "power-off", "node2", ignore_status=True) == [[[0, f"node2.{DOMAIN}"], [0, None]]]
    assert not world.picture.nodes[NODE2].powered
    assert await power(world, "power-on", "node2") == [[[0, f"node2.{DOMAIN}"], [0, None]]]
    assert world.picture.nodes[NODE2].powered
    assert [call.argv for call in runner.calls] == [
        (PROGRAM, "power-off", f"node2.{DOMAIN}"),
        (PROGRAM, "power-on", f"node2.{DOMAIN}"),
    ]


async def test_the_master_and_nodes_in_use_keep_their_power(world: World, runner: FakeRunner) -> None:
    for command in ("power-off", "power-cycle"):
        code, message = await world.refused("OP_OOB_COMMAND", command=command, node_names=["node1"])
        assert code == "wrong_input"
        assert "is the master" in message
    code, message = await world.refused("OP_OOB_COMMAND", command="power-off", node_names=["node3"])
    assert code == "wrong_state"
    assert "not marked offline" in message
    rows = await power(world, "power-cycle")
    assert [name for (_, name), _ in rows] == [f"node2.{DOMAIN}", f"node3.{DOMAIN}"]


async def test_what_the_program_says_is_checked(world: World, runner: FakeRunner) -> None:
    runner.on(lambda argv: argv[-1].startswith("node2"), Outcome(stdout='{"powered": false}'))
    runner.on(lambda argv: argv[-1].startswith("node3"), Outcome(stdout='"maybe"'))
    job = await world.do("OP_OOB_COMMAND", command="power-status")
    assert job.ops[0].result == [
        [[0, f"node1.{DOMAIN}"], [3, None]],
        [[0, f"node2.{DOMAIN}"], [0, {"powered": False}]],
        [[0, f"node3.{DOMAIN}"], [2, None]],
    ]
    warned = said(job, "warning")
    assert warned[0] == f"node node2.{DOMAIN} is recorded as powered and is unpowered"
    assert 'should answer {"powered": true or false}' in warned[1]


async def test_health_is_told_item_by_item(world: World, runner: FakeRunner) -> None:
    runner.on(PROGRAM, Outcome(stdout='[["fan", "OK"], ["disk 3", "CRITICAL"]]'))
    ((_, (status, payload)),) = await power(world, "health", "node2")
    assert (status, payload) == (0, [["fan", "OK"], ["disk 3", "CRITICAL"]])
    runner.on(PROGRAM, Outcome(stdout='[["fan", "fine"]]'))
    ((_, answer),) = await power(world, "health", "node2")
    assert answer == [2, None]


async def test_a_program_that_fails_changes_nothing_and_the_next_node_is_done(world: World, runner: FakeRunner) -> None:
    runner.on(lambda argv: argv[-1].startswith("node2"), Outcome(status=1, stderr="no answer from the card"))
    job = await world.do("OP_OOB_COMMAND", command="power-off", ignore_status=True)
    assert [answer for _, answer in job.ops[0].result] == [[2, None], [0, None]]
    assert said(job, "warning") == [
        f"power-off of node node2.{DOMAIN} failed: {PROGRAM} ended with exit status 1: no answer from the card"
    ]
    assert world.picture.nodes[NODE2].powered
    assert not world.picture.nodes[NODE3].powered

"""Moving a stopped instance with its disks: a copy that is broken off leaves everything where it was."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Failed
from ganeti.model.objects import changed
from sim.processes import Invocation, Outcome
from tests.unit.ops.world import DOMAIN, NODE1, NODE2, World, said

WEB1 = f"web1.{DOMAIN}"
OP = "OP_INSTANCE_MOVE"
PEM = b"-----BEGIN %s-----\nAA==\n-----END %s-----\n"


async def ready(world: World, **fields: Any) -> None:
    """An instance on node 1, and on every node certificates and programs that copy."""
    for host in world.hosts.values():
        runner: Any = host.host.runner
        host.files.make_dirs("/var/lib/ganeti")
        certificate = PEM % (b"CERTIFICATE", b"CERTIFICATE") + PEM % (b"PRIVATE KEY", b"PRIVATE KEY")
        host.files.write(host.host.paths.node_certificate, certificate)
        host.files.write(host.host.paths.ca_certificate, PEM % (b"CERTIFICATE", b"CERTIFICATE"))
        runner.on("qemu-storage-daemon", Outcome())
        runner.on("qemu-img", Outcome(stdout="    (100.00/100%)\r"))
    await world.add_instance(sizes_mib=(64, 32), **fields)


async def where(world: World) -> dict[int, str]:
    found = {}
    for number in (1, 2, 3):
        state = await world.state(WEB1, node=number)
        if state is not None:
            found[number] = str(state.status)
    return found


async def test_an_instance_is_stopped_copied_and_started_there(world: World) -> None:
    await ready(world)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    before = world.host(1).disks()
    job = await world.do(OP, instance_name="web1", target_node="node2")
    assert job.status == "success", job.ops[0].result
    assert await where(world) == {2: "running"}
    assert world.instance(WEB1).primary_node == NODE2
    assert (world.host(1).disks(), world.host(2).disks()) == ([], before)
    assert world.debts() == []
    runner: Any = world.host(1).host.runner
    sent: list[Invocation] = [call for call in runner.calls if call.argv[0] == "qemu-img"]
    assert len(sent) == 2
    assert "tls-hostname=node2.example.com" in sent[0].argv[-1]
    served: Any = world.host(2).host.runner
    assert any("identity=CN=node1.example.com" in word for word in served.calls[0].argv)
    # No key is left lying about.
    assert world.host(1).files.everything("/run/ganeti/disk-copies") == []


async def test_an_instance_that_is_down_stays_down(world: World) -> None:
    await ready(world)
    await world.done(OP, instance_name="web1", target_node="node2")
    assert await where(world) == {}
    assert world.instance(WEB1).primary_node == NODE2


async def test_a_copy_that_breaks_off_leaves_it_running_at_home(world: World) -> None:
    await ready(world)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    before = world.host(1).disks()
    runner: Any = world.host(1).host.runner
    runner.on("qemu-img", Outcome(status=1, stdout="qemu-img: error while writing: No space left on device"))
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "No space left on device" in sentence
    assert await where(world) == {1: "running"}
    assert (world.host(1).disks(), world.host(2).disks()) == (before, [])
    assert world.instance(WEB1).primary_node == NODE1


async def test_a_start_that_fails_there_brings_it_home(world: World) -> None:
    await ready(world)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")

    async def start(*_: object, **__: object) -> None:
        raise Failed("no such machine")

    world.host(2).hypervisor.start = start  # type: ignore[method-assign]
    sentence = await world.failed(OP, instance_name="web1", target_node="node2")
    assert "it runs on node node1.example.com again" in sentence
    assert await where(world) == {1: "running"}
    assert world.host(2).disks() == []
    assert world.instance(WEB1).primary_node == NODE1


@pytest.mark.parametrize("done", [False, True])
async def test_a_master_that_dies_at_any_deed_leaves_the_data_with_its_owner(done: bool) -> None:
    at, more = 0, True
    while more:
        world = World()
        await ready(world)
        await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
        more = await world.crash(OP, at=at, done=done, instance_name="web1", target_node="node2")
        await world.recover()
        owner = 1 if world.instance(WEB1).primary_node == NODE1 else 2
        assert [bool(world.host(number).disks()) for number in (1, 2)] == [owner == 1, owner == 2], at
        assert (await where(world)).keys() <= {owner}
        await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
        assert await where(world) == {owner: "running"}
        at += 1
    assert at >= 10


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({"target_node": "node1"}, "wrong_state", "already"),
        ({"compress": "gzip"}, "wrong_input", "compression 'gzip'"),
    ],
)
async def test_a_move_is_refused(world: World, params: dict[str, Any], code: str, words: str) -> None:
    await ready(world)
    got, sentence = await world.refused(OP, **({"instance_name": "web1", "target_node": "node2"} | params))
    assert got == code
    assert words in sentence


async def test_data_in_the_way_is_somebody_elses(world: World) -> None:
    await ready(world)
    (disk, _) = world.instance(WEB1).disks
    await world.host(2).host.storage("file").create(disk, None)  # type: ignore[arg-type]
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_state"
    assert "there is data at" in sentence


async def test_shared_data_and_a_dead_source_are_refused(world: World) -> None:
    await world.add_instance(template="sharedfile")
    code, sentence = await world.refused(OP, instance_name="web1", target_node="node2")
    assert code == "wrong_state"
    assert "failover" in sentence
    await world.add_instance("db1", number=9)
    world.put(changed(world.picture.nodes[NODE1], 0, offline=True))
    code, sentence = await world.refused(OP, instance_name="db1", target_node="node2")
    assert "cannot be read" in sentence


async def test_the_plan_is_told(world: World) -> None:
    await ready(world)
    job = await world.do(OP, instance_name="web1", target_node="node2", dry_run=True)
    assert any("copy disk 0 (64M)" in line for line in said(job))
    assert world.deeds() == []

"""Verification: what is wrong is found and told, what is in order is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from ganeti.contract.calls.node import NodeInventory
from ganeti.contract.guest import Guest
from ganeti.contract.view import View
from ganeti.model.jobs import Job
from ganeti.model.objects import Nic, changed
from ganeti.ops.cluster import check_group
from ganeti.ops.cluster.check_group import GroupFacts
from ganeti.ops.cluster.verify_group import ClusterVerifyGroup, ClusterVerifyGroupParams
from ganeti.wire import certificates
from tests.unit.ops.world import DIRECTORY, DOMAIN, NODE1, NODE2, NODE3, World, said, uuid

CONFIG, OF_GROUP = "OP_CLUSTER_VERIFY_CONFIG", "OP_CLUSTER_VERIFY_GROUP"
WEB1 = f"web1.{DOMAIN}"


def findings(job: Job) -> list[str]:
    """The lines that tell of something."""
    assert job.status == "success", job.ops[0].result
    return [line for line in said(job) if line.startswith("  - ")]


async def group(world: World, **params: Any) -> tuple[bool, list[str]]:
    job = await world.do(OF_GROUP, group_name="default", **params)
    return job.ops[0].result, findings(job)


async def test_verification_is_one_job_for_the_configuration_and_one_for_each_group(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(1024,))
    result = await world.done("OP_CLUSTER_VERIFY")
    config, of_group = world.submitted
    assert result == {"jobs": [[True, config.id], [True, of_group.id]]}
    assert [job.ops[0].op_id for job in (config, of_group)] == [CONFIG, OF_GROUP]
    assert of_group.ops[0].input["depends"] == [[config.id, []]]
    assert [job.ops[0].result for job in (config, of_group)] == [True, True]
    assert findings(config) + findings(of_group) == []


async def test_one_group_can_be_verified_alone(world: World) -> None:
    result = await world.done("OP_CLUSTER_VERIFY", group_name="default")
    (of_group,) = world.submitted
    assert result == {"jobs": [[True, of_group.id]]}
    assert (await world.refused("OP_CLUSTER_VERIFY", group_name="other"))[0] == "unknown_entity"
    assert (await world.refused("OP_CLUSTER_VERIFY", ignore_errors=["EWHATEVER"]))[0] == "wrong_input"


async def test_an_inconsistent_configuration_is_told(world: World) -> None:
    one = await world.add_instance()
    two = await world.add_instance("web2", number=2)
    world.put(
        msgspec.structs.replace(two, nics=one.nics, hvparams={"colour": "red"}, network_port=11000),
        msgspec.structs.replace(one, network_port=11000, primary_node=uuid(0xA0, 9)),
        msgspec.structs.replace(world.picture.cluster, ipolicy={"vcpu-ratio": 0.5}),
    )
    job = await world.do(CONFIG)
    assert job.ops[0].result is False
    assert findings(job) == [
        f"  - ERROR: cluster: MAC address {one.nics[0].mac} is given 2 times",
        "  - ERROR: cluster: network port 11000 is given 2 times",
        "  - ERROR: cluster: instance policy: vcpu-ratio must be at least 1",
        f"  - ERROR: instance web2.{DOMAIN}: hypervisor fake has no parameter 'colour'; it has migration_mode",
        f"  - ERROR: node {uuid(0xA0, 9)}: instance {WEB1} is on this unknown node",
    ]


async def test_machines_get_fields_apart_by_colons_and_errors_can_be_ignored(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(1024,))
    await world.host().hypervisor.stop(_guest(), force=True, timeout_s=0)
    words = f"should run on node node1.{DOMAIN}, and does not"
    assert await group(world) == (False, [f"  - ERROR: instance {WEB1}: {words}"])
    assert await group(world, error_codes=True) == (False, [f"  - ERROR:EINSTANCEDOWN:instance:{WEB1}:{words}"])
    for code in ("EINSTANCEDOWN", "CV_EINSTANCEDOWN"):
        assert await group(world, ignore_errors=[code]) == (True, [f"  - WARNING: instance {WEB1}: {words}"])


def _guest() -> Guest:
    return Guest(name=WEB1, uuid="", hypervisor="fake", hvparams={}, maxmem_mib=1, minmem_mib=1, vcpus=1)


async def test_a_guest_that_should_not_run_is_told(world: World) -> None:
    instance = await world.add_instance(sizes_mib=(1024,))
    await world.start_guest(instance)
    await world.start_guest(instance, node=2)
    assert await group(world) == (
        False,
        [
            f"  - ERROR: instance {WEB1}: runs on node node1.{DOMAIN}, and is marked to be down",
            f"  - ERROR: instance {WEB1}: runs on node node2.{DOMAIN}, and lives on node node1.{DOMAIN}",
        ],
    )


async def test_guests_disks_and_interfaces_of_nobody_are_told(world: World) -> None:
    stranger = await world.add_instance("ghost", running=True)
    del world.disk.entries[f"instance/{stranger.uuid}"]
    await world.host(2).taps.create("gnt-99999999-0", mac="aa:00:00:00:00:01")
    ok, found = await group(world)
    assert not ok
    path = stranger.disks[0].logical_id[1]
    assert found == [
        f"  - ERROR: node node1.{DOMAIN}: has a guest ghost.{DOMAIN} (running) of no instance",
        f"  - ERROR: node node1.{DOMAIN}: has a disk {path} of instance ghost.{DOMAIN} (file, 64 MiB), which no instance has",
        f"  - WARNING: node node2.{DOMAIN}: has an interface gnt-99999999-0 of no guest that runs here",
    ]


async def test_interfaces_of_running_guests_are_in_order(world: World) -> None:
    instance = await world.add_instance(running=True, sizes_mib=(1024,))
    await world.host().taps.create(f"gnt-{instance.uuid[:8]}-0", mac="aa:00:00:00:00:01")
    assert await group(world) == (True, [])


async def test_data_on_the_wrong_node_is_told(world: World) -> None:
    instance = await world.add_instance(sizes_mib=(1024,))
    copy = msgspec.structs.replace(instance.disks[0])
    await world.host(2).host.storage("file").create(copy, None)  # type: ignore[arg-type]
    ok, (line,) = await group(world)
    assert not ok
    assert line.startswith(f"  - ERROR: node node2.{DOMAIN}: has a disk")
    assert line.endswith("which lives on another node")


async def test_shared_data_that_every_node_sees_is_told_once(world: World) -> None:
    await world.add_instance("kept", sizes_mib=(1024,), template="sharedfile")
    stranger = await world.add_instance("ghost", number=2, template="sharedfile")
    del world.disk.entries[f"instance/{stranger.uuid}"]
    ok, found = await group(world)
    assert not ok
    assert len(found) == 1
    assert found[0].startswith(f"  - ERROR: node node1.{DOMAIN}: has a disk")


async def test_missing_and_wrong_disks_are_told(world: World) -> None:
    instance = await world.add_instance(sizes_mib=(1024, 1024))
    first, second = (disk.logical_id[1] for disk in instance.disks)
    world.host().files.remove(first)
    world.host().files.grow(second, 2048 << 20)
    assert await group(world) == (
        False,
        [
            f"  - ERROR: instance {WEB1}: disk/0 ({first}) is not on node node1.{DOMAIN}",
            f"  - ERROR: instance {WEB1}: disk/1 ({second}) has 2048 MiB on node node1.{DOMAIN}, "
            "and should have 1024 MiB",
        ],
    )


async def test_disks_outside_of_where_new_ones_go_are_looked_for(world: World) -> None:
    await world.add_instance(sizes_mib=(1024,))
    world.put(changed(world.picture.cluster, 1.0, file_storage_dir=f"{DIRECTORY}/newer"))
    assert await group(world) == (True, [])


async def test_silent_and_offline_nodes_are_told(world: World) -> None:
    await world.add_instance(sizes_mib=(1024,), node=2)
    world.silent.add(f"node3.{DOMAIN}")
    world.put(changed(world.picture.nodes[NODE2], 1.0, offline=True))
    assert await group(world) == (
        False,
        [
            f"  - ERROR: node node3.{DOMAIN}: node node3.{DOMAIN} does not answer",
            f"  - ERROR: instance {WEB1}: lives on node node2.{DOMAIN}, which is offline",
        ],
    )


async def test_missing_links_break_what_uses_them(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(1024,))
    world.host(1).network.links.clear()
    world.host(2).network.links.clear()
    sentence = "bridge xen-br0 is not on this node; make it, or choose another link"
    assert await group(world) == (
        False,
        [
            f"  - ERROR: node node1.{DOMAIN}: {sentence}",
            f"  - WARNING: node node2.{DOMAIN}: {sentence}",
        ],
    )


async def test_hypervisor_objections_are_errors_where_instances_have_them(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(1024,), hvparams={"migration_mode": "non-live"})
    for number in (1, 2):
        world.host(number).hypervisor.objections = ("no QEMU here",)
    whose = "hypervisor fake with the"
    assert await group(world) == (
        False,
        [
            f"  - WARNING: node node1.{DOMAIN}: {whose} cluster's parameters: no QEMU here",
            f"  - ERROR: node node1.{DOMAIN}: {whose} parameters of instance {WEB1}: no QEMU here",
            f"  - WARNING: node node2.{DOMAIN}: {whose} cluster's parameters: no QEMU here",
        ],
    )


async def test_broken_and_missing_oses_are_told(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(1024,))
    del world.host().os.found["tiny"]
    world.host(2).os.found["tiny"] = msgspec.structs.replace(world.host(2).os.found["tiny"], problems=("no create",))
    assert await group(world) == (
        True,
        [
            f"  - WARNING: node node1.{DOMAIN}: OS tiny, which instance {WEB1} has, is not there",
            f"  - WARNING: node node2.{DOMAIN}: OS tiny cannot be used: no create",
        ],
    )


async def test_broken_policies_are_warnings(world: World) -> None:
    await world.add_instance(running=True, sizes_mib=(10,))
    ok, (line,) = await group(world)
    assert ok
    assert line == f"  - WARNING: instance {WEB1}: size of disk 0 10 is not between 1024 and 1048576"


async def test_errors_can_be_made_up(world: World) -> None:
    ok, found = await group(world, debug_simulate_errors=True)
    assert not ok
    assert found[0] == f"  - ERROR: node node1.{DOMAIN}: this error is simulated"
    job = await world.do(CONFIG, debug_simulate_errors=True)
    assert job.ops[0].result is False


@pytest.fixture
def facts_of(world: World) -> Callable[[], Awaitable[tuple[View, GroupFacts]]]:
    """What the nodes say, and the view to compare it with."""

    async def gather() -> tuple[View, GroupFacts]:
        params = ClusterVerifyGroupParams(group_name="default")
        async with world.master():
            execution = world.execution(params)
            return execution.view, await ClusterVerifyGroup().survey(execution, params)

    return gather


async def test_clocks_versions_and_names_are_compared(
    world: World, facts_of: Callable[[], Awaitable[tuple[View, GroupFacts]]]
) -> None:
    view, facts = await facts_of()
    second, third = facts.inventories[NODE2], facts.inventories[NODE3]
    assert isinstance(second, NodeInventory)
    assert isinstance(third, NodeInventory)
    early = msgspec.structs.replace(second, now_s=facts.began_s - 151, version="3.9.0")
    late = msgspec.structs.replace(third, now_s=facts.ended_s + 149, name="elsewhere")
    facts = msgspec.structs.replace(facts, inventories={**facts.inventories, NODE2: early, NODE3: late})
    nodes = sorted(view.picture.nodes.values(), key=lambda node: node.name)
    assert [(found.code, found.name) for found in check_group.nodes(view, nodes, facts)] == [
        ("ENODEVERSION", f"node2.{DOMAIN}"),
        ("ENODETIME", f"node2.{DOMAIN}"),
        ("ENODESETUP", f"node3.{DOMAIN}"),
    ]


async def test_a_node_that_could_not_take_over_is_told(
    world: World, facts_of: Callable[[], Awaitable[tuple[View, GroupFacts]]]
) -> None:
    mirrored = [
        changed(
            await world.add_instance(f"web{number}", number=number, sizes_mib=()),
            1.0,
            secondary_nodes=(NODE2,),
            admin_state="up",
            beparams={"minmem": 2000, "maxmem": 2000, "auto_balance": number < 3},
        )
        for number in range(1, 4)
    ]
    world.put(*mirrored)
    view, facts = await facts_of()
    assert list(check_group.redundancy(view, view.picture.nodes.values(), facts)) == []
    view = msgspec.structs.replace(
        view, picture=view.picture.with_changes(revision=99, put=[changed(mirrored[2], 2.0, beparams={"minmem": 2000})])
    )
    (found,) = check_group.redundancy(view, view.picture.nodes.values(), facts)
    assert (found.code, found.name) == ("ENODEN1", f"node2.{DOMAIN}")
    assert "6000 MiB needed, 4096 MiB free" in found.message


async def test_what_a_node_owes_is_told(
    world: World, facts_of: Callable[[], Awaitable[tuple[View, GroupFacts]]]
) -> None:
    view, facts = await facts_of()
    view = msgspec.structs.replace(view, debts={NODE1: 2})
    (found,) = check_group.reachable(view, view.picture.nodes.values(), facts)
    assert (found.name, found.error) == (f"node1.{DOMAIN}", False)
    assert found.message.startswith("owes 2 reversals")


@pytest.mark.parametrize(
    "days,expected",
    [
        (31, []),
        (29, ["  - WARNING: cluster: the certificate of node node1.example.com expires in 29 days"]),
        (3, ["  - ERROR: cluster: the certificate of node node1.example.com expires in 3 days"]),
        (-2, ["  - ERROR: cluster: the certificate of node node1.example.com expired 2 days ago"]),
    ],
)
async def test_certificates_that_end_soon_are_told(world: World, days: int, expected: list[str]) -> None:
    host, year_s, ids = world.host().host, 365 * 86_400.0, world.ids
    now_s = host.clock.now_s()
    ca = certificates.make_ca(
        cluster_name="c.example.com", serial=certificates.fresh_serial(ids), now_s=now_s - year_s, valid_s=9 * year_s
    )
    pair = certificates.make_node(
        ca,
        node_name=host.name,
        addresses=["192.0.2.11"],
        serial=certificates.fresh_serial(ids),
        now_s=now_s - year_s,
        valid_s=year_s + days * 86_400 + 3600,
    )
    host.files.make_dirs(host.paths.data)
    host.files.write(host.paths.node_certificate, pair.certificate)
    assert findings(await world.do(CONFIG)) == expected


async def test_a_creation_under_way_is_no_orphan(world: World) -> None:
    op = {"instance_name": WEB1, "mode": "create", "disk_template": "file", "disks": [{"size": 1024}], "nics": [{}],
          "os_type": "tiny", "pnode": "node1"}  # fmt: skip
    world.next_crash = (2, True)  # the guest runs, and the master waits for ever
    async with world.master() as (queue, caller):
        await queue.submit([[{"OP_ID": "OP_INSTANCE_CREATE", **op}]])
        await caller.crashed.wait()
        (verify,) = await queue.submit([[{"OP_ID": OF_GROUP, "group_name": "default"}]])
        assert isinstance(verify, int)
        tracked = queue.jobs[verify]
        while tracked.job.status not in ("success", "error"):
            waiting = world.waiting()
            tracked.watchers.append(waiting)
            await waiting
        assert findings(tracked.with_log()) == []
        assert tracked.job.ops[0].result is True
    await world.recover()
    assert world.host().disks() == []


async def test_nics_of_instances_on_other_nodes_do_not_count_here(world: World) -> None:
    instance = await world.add_instance(running=True, sizes_mib=(1024,))
    nic = Nic(uuid=uuid(0x20, 99), mac="aa:00:00:99:99:99", nicparams={"link": "br1"})
    world.put(changed(instance, 1.0, nics=(nic,)))
    world.host(2).network.links.discard("br1")
    ok, (line,) = await group(world)
    assert ok
    assert line.startswith(f"  - WARNING: node node2.{DOMAIN}: bridge br1")

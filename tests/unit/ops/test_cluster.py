"""Changing the cluster and its nodes."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.model.objects import Nic, changed
from tests.unit.ops.world import DOMAIN, GROUP, NODE1, NODE2, World, said, uuid

OP = "OP_CLUSTER_SET_PARAMS"
NODE = "OP_NODE_SET_PARAMS"
BOUNDS = {"memory-size": 128, "cpu-count": 1, "disk-count": 1, "disk-size": 1, "nic-count": 1, "spindle-use": 1}


async def test_settings_are_changed(world: World) -> None:
    assert await world.done(
        OP,
        beparams={"memory": "256M"},
        nicparams={"link": "br1"},
        ndparams={"spindle_count": 4, "exclusive_storage": True},
        hvparams={"fake": {"migration_mode": "non-live"}, "kvm": {"acpi": False}},
        os_hvp={"tiny": {"kvm": {"acpi": True}}},
        osparams={"tiny": {"a": "1"}},
        osparams_private_cluster={"tiny": {"b": "2"}},
        ipolicy={"vcpu-ratio": "8", "std": {"memory-size": "256M"}},
        candidate_pool_size=3,
        max_running_jobs=7,
        mac_prefix="AA:01:02",
        enabled_user_shutdown=True,
        reserved_lvs=["root.*"],
        hidden_os=[["add", "tiny"]],
        default_iallocator="hail",
        enabled_disk_templates=["file", "diskless"],
        prealloc_wipe_disks=True,
    ) is None  # fmt: skip
    cluster = world.picture.cluster
    assert cluster.beparams == {"minmem": 256, "maxmem": 256}
    assert cluster.nicparams == {"link": "br1"}
    assert cluster.ndparams == {"spindle_count": 4, "exclusive_storage": True}
    assert cluster.hvparams == {"fake": {"migration_mode": "non-live"}, "kvm": {"acpi": False}}
    assert cluster.os_hvp == {"tiny": {"kvm": {"acpi": True}}}
    assert (cluster.osparams, cluster.osparams_private_cluster) == ({"tiny": {"a": "1"}}, {"tiny": {"b": "2"}})
    assert (cluster.ipolicy["vcpu-ratio"], cluster.ipolicy["std"]["memory-size"]) == (8.0, 256)
    assert (cluster.candidate_pool_size, cluster.max_running_jobs, cluster.mac_prefix) == (3, 7, "aa:01:02")
    assert (cluster.enabled_user_shutdown, cluster.prealloc_wipe_disks) == (True, True)
    assert (cluster.reserved_lvs, cluster.hidden_os) == (("root.*",), ("tiny",))
    assert cluster.enabled_disk_templates == ("file", "diskless")
    assert cluster.serial_no == 2


async def test_own_values_are_forgotten_again(world: World) -> None:
    await world.done(OP, hvparams={"kvm": {"acpi": False}}, osparams={"tiny": {"a": "1"}}, ipolicy={"vcpu-ratio": 8})
    await world.done(
        OP, hvparams={"kvm": {"acpi": "default"}}, osparams={"tiny": None}, ipolicy={"vcpu-ratio": "default"}
    )
    cluster = world.picture.cluster
    assert (cluster.hvparams, cluster.osparams, cluster.ipolicy) == ({}, {}, {})


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({}, "wrong_input", "no change was asked for"),
        ({"beparams": {"maxmem": 64}}, "wrong_input", "above maxmem"),
        ({"beparams": {"colour": 1}}, "wrong_input", "no parameter 'colour'"),
        ({"hvparams": {"vmware": {}}}, "wrong_input", "no hypervisor 'vmware'"),
        ({"hvparams": {"kvm": {"serial_speed": "fast"}}}, "wrong_input", "whole number"),
        ({"os_hvp": {"tiny": {"fake": {"migration_mode": "live"}}}}, "wrong_input", "only be set for the cluster"),
        ({"nicparams": {"mode": "warp"}}, "wrong_input", "no NIC mode 'warp'"),
        ({"nicparams": {"link": ""}}, "wrong_input", "needs link="),
        ({"nicparams": {"link": "br9"}}, "environment_error", f"node node1.{DOMAIN}: bridge br9 is not on this node"),
        ({"ndparams": {"cpu_speed": "fast"}}, "wrong_input", "it is a number"),
        ({"diskparams": {"file": {"stripes": 2}}}, "unknown_entity", "disk template file has no parameter"),
        ({"ipolicy": {"colour": 1}}, "wrong_input", "no policy setting 'colour'"),
        ({"ipolicy": {"minmax": [{"min": BOUNDS}]}}, "wrong_input", "one 'min' and one 'max'"),
        ({"ipolicy": {"minmax": [{"min": 3, "max": 4}]}}, "wrong_input", "is no set of bounds"),
        ({"ipolicy": {"disk-templates": ["rbd"]}}, "wrong_input", "allowed by the policy but not enabled"),
        ({"enabled_hypervisors": []}, "wrong_input", "at least one hypervisor"),
        ({"enabled_hypervisors": ["kvm"]}, "wrong_state", "fake cannot be disabled: 1 instance uses it"),
        ({"enabled_disk_templates": ["diskless"]}, "wrong_state", "file cannot be disabled"),
        ({"enabled_disk_templates": ["tape"]}, "wrong_input", "no disk template 'tape'"),
        ({"candidate_pool_size": 0}, "wrong_input", "at least 1"),
        ({"mac_prefix": "01:00:00"}, "wrong_input", "not a MAC prefix"),
        ({"default_iallocator": "mine"}, "wrong_input", "no allocator program 'mine'"),
        ({"reserved_lvs": ["("]}, "wrong_input", "not a regular expression"),
        ({"hidden_os": [["hide", "tiny"]]}, "wrong_input", "not 'hide'"),
        ({"file_storage_dir": "disks"}, "wrong_input", "not an absolute path"),
        ({"file_storage_dir": "/etc/disks"}, "wrong_input", "belongs to the system"),
        ({"file_storage_dir": "/srv/other"}, "environment_error", f"node node1.{DOMAIN}"),
        ({"osparams": {"tiny": {"a": ["x"]}}}, "wrong_input", "is a text"),
        ({"vg_name": "xenvg"}, "wrong_input", "not served yet"),
        ({"uid_pool": [[1, 2]]}, "wrong_input", "not served yet"),
        ({"maintain_node_health": True}, "wrong_input", "not served yet"),
        ({"master_netdev": "eth1"}, "wrong_input", "not served yet"),
        ({"instance_communication_network": "meta"}, "wrong_input", "not served yet"),
    ],
)
async def test_a_setting_is_refused(world: World, params: dict[str, Any], code: str, words: str) -> None:
    await world.add_instance()
    refused_with, message = await world.refused(OP, **params)
    assert (refused_with, words in message) == (code, True), message


async def test_what_nodes_object_to_can_be_forced(world: World) -> None:
    await world.done(OP, nicparams={"link": "br9"}, force=True)
    assert world.picture.cluster.nicparams == {"link": "br9"}


async def test_a_setting_that_an_instance_cannot_live_with_is_refused(world: World) -> None:
    await world.add_instance(beparams={"minmem": 100})
    code, message = await world.refused(OP, beparams={"minmem": 64, "maxmem": 64})
    assert code == "wrong_input"
    assert f"instance web1.{DOMAIN}: minmem (100 MiB) is above maxmem (64 MiB)" in message


async def test_parameters_of_a_hypervisor_must_go_together(world: World) -> None:
    world.put(changed(world.picture.cluster, 1.0, enabled_hypervisors=("fake", "kvm")))
    code, message = await world.refused(OP, hvparams={"kvm": {"disk_aio": "native"}}, force=True)
    assert code == "wrong_input"
    assert "disk_aio=native needs disk_cache=none" in message


async def test_instances_that_will_break_the_policy_are_named(world: World) -> None:
    await world.add_instance()
    high = {**dict.fromkeys(BOUNDS, 8), "memory-size": 9000, "disk-size": 9000, "cpu-count": 9}
    bounds = {"min": {**BOUNDS, "cpu-count": 2}, "max": high}
    job = await world.do(OP, ipolicy={"minmax": [bounds], "std": {"cpu-count": 2, "disk-size": 10}})
    assert job.status == "success", job.ops[0].result
    (warning,) = said(job, "warning")
    assert f"web1.{DOMAIN}" in warning


async def test_lists_of_oses_tell_what_is_so_already(world: World) -> None:
    await world.done(OP, hidden_os=[["add", "tiny"]])
    job = await world.do(OP, hidden_os=[["add", "tiny"], ["remove", "big"]], blacklisted_os=[["add", "big"]])
    assert said(job, "warning") == ["OS tiny is hidden already", "OS big is not hidden"]
    assert world.picture.cluster.blacklisted_os == ("big",)


async def test_private_parameters_are_not_kept_in_the_job(world: World) -> None:
    await world.done(OP, osparams_private_cluster={"tiny": {"key": "hush-hush"}})
    jobs = [entry.value for key, entry in world.disk.entries.items() if key.startswith("job/")]
    assert jobs
    assert not any(b"hush-hush" in job for job in jobs)


async def test_a_node_changes_its_role_and_parameters(world: World) -> None:
    result = await world.done(NODE, node_name="node2", drained=True, ndparams={"spindle_count": 3})
    assert result == [["master_candidate", False], ["drained", True], ["ndparams/spindle_count", 3]]
    node = world.picture.nodes[NODE2]
    assert (node.drained, node.master_candidate, node.ndparams) == (True, False, {"spindle_count": 3})
    assert await world.done(NODE, node_name="node2", offline=True) == [["offline", True], ["drained", False]]
    assert await world.done(NODE, node_name="node2", offline=False) == [["offline", False]]
    assert await world.done(NODE, node_name="node2", offline=False) == []
    assert await world.done(NODE, node_name="node2", master_candidate=True) == [["master_candidate", True]]


@pytest.mark.parametrize(
    "params,code,words",
    [
        ({"node_name": "node1", "offline": True}, "wrong_input", "is the master"),
        ({"node_name": "node1", "drained": True}, "wrong_input", "is the master"),
        ({"node_name": "node1", "master_candidate": False}, "wrong_input", "is the master"),
        ({"node_name": "node1", "vm_capable": False}, "wrong_state", "must stay vm-capable"),
        ({"node_name": "node2", "offline": True, "drained": True}, "wrong_input", "one role at a time"),
        ({"node_name": "node2", "powered": False}, "wrong_state", "so it is powered"),
        ({"node_name": "node2", "ndparams": {"ssh_port": 0}}, "wrong_input", "from 1 to 65535"),
        ({"node_name": "node2", "ndparams": {"exclusive_storage": True}}, "wrong_input", "only be set for the cluster"),
        ({"node_name": "node2", "secondary_ip": "10.0.0.1"}, "wrong_input", "not served yet"),
        ({"node_name": "node2"}, "wrong_input", "no change was asked for"),
        ({"node_name": "node9", "drained": True}, "unknown_entity", "Node 'node9' not known"),
        ({"node_name": "node2", "node_uuid": "other", "drained": True}, "unknown_entity", "has UUID"),
    ],
)
async def test_a_change_of_a_node_is_refused(world: World, params: dict[str, Any], code: str, words: str) -> None:
    await world.add_instance()
    refused_with, message = await world.refused(NODE, **params)
    assert (refused_with, words in message) == (code, True), message


async def test_a_candidate_is_not_demoted_while_another_could_step_in(world: World) -> None:
    world.put(changed(world.picture.nodes[NODE2], 1.0, master_candidate=False))
    code, message = await world.refused(NODE, node_name="node3", master_candidate=False)
    assert code == "wrong_state"
    assert "promote another node first" in message
    await world.done(NODE, node_name="node3", master_candidate=False, force=True)


async def test_a_node_that_is_switched_off_does_not_come_online(world: World) -> None:
    await world.done(NODE, node_name="node2", offline=True)
    assert await world.done(NODE, node_name="node2", powered=False) == [["powered", False]]
    code, message = await world.refused(NODE, node_name="node2", offline=False)
    assert code == "wrong_state"
    assert "powered off" in message


@pytest.mark.parametrize(
    "kind,name,path",
    [
        ("cluster", None, "/cluster"),
        ("node", "node1", f"/nodes/node1.{DOMAIN}"),
        ("nodegroup", "default", "/nodegroup/default"),
        ("instance", "web1", f"/instances/web1.{DOMAIN}"),
    ],
)
async def test_tags_are_set_found_and_taken_off(world: World, kind: str, name: str | None, path: str) -> None:
    await world.add_instance()
    target = {"kind": kind, "name": name}
    assert await world.done("OP_TAGS_SET", **target, tags=["b", "a"]) is None
    assert await world.done("OP_TAGS_SET", **target, tags=["a"]) is None
    assert await world.done("OP_TAGS_GET", **target, use_locking=True) == ["a", "b"]
    assert await world.done("OP_TAGS_SEARCH", pattern="^[ab]$") == [[path, "a"], [path, "b"]]
    code, message = await world.refused("OP_TAGS_DEL", **target, tags=["a", "c"])
    assert (code, message) == ("unknown_entity", "Tag(s) 'c' not found")
    assert await world.done("OP_TAGS_DEL", **target, tags=["a"]) is None
    assert await world.done("OP_TAGS_GET", **target) == ["b"]


@pytest.mark.parametrize(
    "op_id,params,code",
    [
        ("OP_TAGS_SET", {"kind": "cluster", "tags": ["no spaces"]}, "wrong_input"),
        ("OP_TAGS_SET", {"kind": "cluster", "tags": ["x" * 129]}, "wrong_input"),
        ("OP_TAGS_SET", {"kind": "node", "tags": ["a"]}, "wrong_input"),
        ("OP_TAGS_SET", {"kind": "instance", "name": "nobody", "tags": ["a"]}, "unknown_entity"),
        ("OP_TAGS_SET", {"kind": "network", "name": "lan", "tags": ["a"]}, "wrong_input"),
        ("OP_TAGS_SEARCH", {"pattern": "("}, "wrong_input"),
    ],
)
async def test_a_tag_is_refused(world: World, op_id: str, params: dict[str, Any], code: str) -> None:
    assert (await world.refused(op_id, **params))[0] == code


@pytest.mark.parametrize(
    "kind,name", [("cluster", None), ("node", "node1"), ("nodegroup", "default"), ("instance", "web1")]
)
async def test_two_hundred_changes_of_one_objects_tags_all_succeed(world: World, kind: str, name: str | None) -> None:
    await world.add_instance()
    ops: list[dict[str, Any]] = [
        {"OP_ID": "OP_TAGS_SET", "kind": kind, "name": name, "tags": [f"t{number:03}"]} for number in range(200)
    ]
    ops.append({"OP_ID": NODE, "node_name": "node1", "ndparams": {"spindle_count": 2}})
    ops.append({"OP_ID": OP, "candidate_pool_size": 5})
    ops.append({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1"})
    jobs = await world.do_all(ops)
    assert {job.status for job in jobs} == {"success"}
    assert len(await world.done("OP_TAGS_GET", kind=kind, name=name)) == 200
    assert world.picture.nodes[NODE1].ndparams == {"spindle_count": 2}
    assert world.picture.cluster.candidate_pool_size == 5
    assert world.picture.groups[GROUP].name == "default"


async def test_delays_dummies_and_queue_tests_do_as_they_are_told(world: World) -> None:
    job = await world.do("OP_TEST_DELAY", duration=0.0, on_nodes=["node2", "node3"], repeat=1, no_locks=False)
    assert job.status == "success"
    assert world.deeds() == ["node.delay"] * 4
    assert said(job) == ["Test delay iteration 0/1", "Test delay iteration 1/1"]
    assert (await world.refused("OP_TEST_DELAY", duration=-1.0))[0] == "wrong_input"
    assert (await world.refused("OP_TEST_DELAY", duration=0.0, on_nodes=["node9"]))[0] == "unknown_entity"
    assert (await world.refused("OP_TEST_DELAY", duration=0.0, interruptible=True))[0] == "wrong_input"

    job = await world.do("OP_TEST_DUMMY", result={"a": 1}, messages=["hello"], fail=None, submit_jobs=None)
    assert (job.ops[0].result, said(job)) == ({"a": 1}, ["hello"])
    result = await world.done(
        "OP_TEST_DUMMY", result=7, messages=[], fail=False, submit_jobs=[[{"OP_ID": "OP_TEST_DUMMY", "result": 8}]]
    )
    assert result == {"result": 7, "jobs": [[True, world.submitted[-1].id]]}
    assert await world.failed("OP_TEST_DUMMY", result=None, messages=[], fail="as told") == "as told"

    assert await world.done("OP_TEST_JQUEUE", log_messages=["x"]) is True
    assert "asked to fail" in await world.failed("OP_TEST_JQUEUE", fail=True)
    assert (await world.refused("OP_TEST_JQUEUE", notify_exec=True))[0] == "wrong_input"

    job = await world.do("OP_TEST_OS_PARAMS", osparams_secret={"password": "made-up"})
    assert said(job) == ["password: made-up"]
    assert "no secret" in await world.failed("OP_TEST_OS_PARAMS")


async def test_a_new_default_link_is_not_asked_of_modes_without_links(world: World) -> None:
    await world.add_instance(nics=0)
    nic = Nic(uuid=uuid(0x20, 99), mac="aa:00:00:99:99:99", nicparams={"link": "br1"})
    world.put(changed(world.instance("web1"), 1.0, nics=(nic,)))
    await world.done(OP, nicparams={"link": "br1"})

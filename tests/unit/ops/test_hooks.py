"""Hooks around operations: who is told what, who can say no, and what is only told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ganeti.model.objects import changed
from sim.processes import FakeRunner, Outcome
from tests.unit.ops.world import DOMAIN, NODE1, NODE2, World, said

WEB1 = f"web1.{DOMAIN}"
HOOKS = "/etc/ganeti/hooks"


def script(world: World, name: str, outcome: Outcome | None = None, *, node: int = 1, mode: int = 0o755) -> None:
    """A hook script on a node, by its path below the directory of hooks."""
    host = world.host(node)
    host.files.make_dirs(f"{HOOKS}/{name.partition('/')[0]}")
    host.files.write(f"{HOOKS}/{name}", b"#!/bin/sh\n", mode=mode)
    runner(world, node).on(f"{HOOKS}/{name}", outcome or Outcome())


def runner(world: World, node: int = 1) -> FakeRunner:
    """What runs the programs of a node."""
    found = world.host(node).host.runner
    assert isinstance(found, FakeRunner)
    return found


def ran(world: World, node: int = 1) -> list[str]:
    """The scripts that ran on a node."""
    return [call.argv[0].removeprefix(f"{HOOKS}/") for call in runner(world, node).calls]


def told(world: World, node: int = 1, call: int = -1) -> Mapping[str, str]:
    """The environment of one of them."""
    env = runner(world, node).calls[call].env
    assert env is not None
    return env


async def test_a_start_tells_hooks_before_and_after_it(world: World) -> None:
    await world.add_instance(tags=("a", "b"))
    for name in ("instance-start-pre.d/10-one", "instance-start-pre.d/20_two", "instance-start-post.d/after"):
        script(world, name)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    assert ran(world) == ["instance-start-pre.d/10-one", "instance-start-pre.d/20_two", "instance-start-post.d/after"]
    before, after = told(world, call=0), told(world)
    assert before["PATH"] == "/sbin:/bin:/usr/sbin:/usr/bin"
    assert {name: before[f"GANETI_{name}"] for name in ("HOOKS_VERSION", "HOOKS_PHASE", "HOOKS_PATH")} == {
        "HOOKS_VERSION": "2",
        "HOOKS_PHASE": "pre",
        "HOOKS_PATH": "instance-start",
    }
    assert before["GANETI_OP_CODE"] == "OP_INSTANCE_STARTUP"
    assert before["GANETI_OBJECT_TYPE"] == "INSTANCE"
    assert before["GANETI_DATA_DIR"] == "/var/lib/ganeti"
    assert before["GANETI_CLUSTER"] == f"cluster.{DOMAIN}"
    assert before["GANETI_MASTER"] == before["GANETI_INSTANCE_PRIMARY"] == f"node1.{DOMAIN}"
    assert before["GANETI_OP_TARGET"] == before["GANETI_INSTANCE_NAME"] == WEB1
    assert before["GANETI_INSTANCE_TAGS"] == "a b"
    assert before["GANETI_INSTANCE_MAXMEM"] == before["GANETI_INSTANCE_BE_maxmem"] == "128"
    assert before["GANETI_INSTANCE_NIC0_MAC"] == "aa:00:00:00:01:00"
    assert before["GANETI_INSTANCE_NIC0_BRIDGE"] == "xen-br0"
    assert before["GANETI_INSTANCE_NIC0_IP"] == ""
    assert before["GANETI_INSTANCE_DISK0_SIZE"] == "64"
    assert before["GANETI_INSTANCE_SECONDARIES"] == ""
    assert "GANETI_INSTANCE_HV_migration_mode" in before
    assert before["GANETI_FORCE"] == "False"
    assert all(name.startswith("GANETI_") or name == "PATH" for name in before)
    assert not any(name.startswith("GANETI_POST_") for name in before)
    assert after["GANETI_HOOKS_PHASE"] == "post"
    assert (after["GANETI_INSTANCE_STATUS"], after["GANETI_POST_INSTANCE_STATUS"]) == ("down", "up")


async def test_a_script_that_fails_before_it_stops_the_operation(world: World) -> None:
    await world.add_instance()
    script(world, "instance-start-pre.d/10-no", Outcome(status=3, stdout="not today\n", stderr="because\n"))
    script(world, "instance-start-pre.d/20-mute", Outcome(status=1))
    script(world, "instance-start-post.d/after")
    job = await world.do("OP_INSTANCE_STARTUP", instance_name="web1")
    assert job.status == "error"
    node = f"node1.{DOMAIN}"
    assert job.ops[0].result == [
        "HooksAbort",
        [
            [
                [node, "instance-start-pre.d/10-no", "not today\nbecause"],
                [node, "instance-start-pre.d/20-mute", "it ended with exit status 1"],
            ]
        ],
    ]
    assert await world.state() is None
    assert world.instance(WEB1).admin_state == "down"
    assert "instance-start-post.d/after" not in ran(world)
    assert world.deeds() == ["hooks.run"]


async def test_a_script_that_hangs_counts_as_failed(world: World) -> None:
    await world.add_instance()
    script(world, "instance-start-pre.d/hangs", Outcome(takes_s=float("inf")))
    script(world, "instance-start-pre.d/late")
    loop_time = runner(world)
    loop_time.on(f"{HOOKS}/instance-start-pre.d/hangs", _overdue)
    job = await world.do("OP_INSTANCE_STARTUP", instance_name="web1")
    kind, ((failure, *_),) = job.ops[0].result
    assert kind == "HooksAbort"
    assert "did not end within" in failure[2]


def _overdue(_: object) -> Outcome:
    from ganeti.base.processes import overdue

    raise overdue(["hangs"], 900.0, "")


async def test_what_is_no_script_is_left_alone(world: World) -> None:
    await world.add_instance()
    for name in ("instance-start-pre.d/with.dot", "instance-start-pre.d/backup~", "instance-start-pre.d/.hidden"):
        script(world, name, Outcome(status=1))
    script(world, "instance-start-pre.d/not-executable", Outcome(status=1), mode=0o644)
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    assert ran(world) == []
    assert "hooks.run" not in world.deeds()


async def test_a_script_that_fails_after_it_is_only_told(world: World) -> None:
    await world.add_instance()
    script(world, "instance-start-post.d/mail", Outcome(status=1, stderr="no mail today"))
    job = await world.do("OP_INSTANCE_STARTUP", instance_name="web1")
    assert job.status == "success"
    assert said(job, "warning") == [f"hook instance-start-post.d/mail failed on node node1.{DOMAIN}: no mail today"]
    assert (await world.recover())[-1].ops[0].log[-1].text.startswith("hook instance-start-post.d/mail failed")


async def test_a_silent_node_is_left_out_and_told(world: World) -> None:
    await world.add_instance(node=2)
    script(world, "instance-stop-pre.d/no", Outcome(status=1), node=2)
    world.silent.add(f"node2.{DOMAIN}")
    job = await world.do("OP_INSTANCE_SHUTDOWN", instance_name="web1")
    assert said(job, "warning") == [
        f"the hooks of node node2.{DOMAIN} were not run: node node2.{DOMAIN} does not answer"
    ]
    assert job.ops[0].result[0] == "OpExecError"  # by the deed itself


async def test_a_node_marked_offline_is_not_asked(world: World) -> None:
    await world.add_instance(node=2)
    world.put(changed(world.picture.nodes[NODE2], 1.0, offline=True))
    script(world, "instance-stop-pre.d/no", Outcome(status=1), node=2)
    job = await world.do("OP_INSTANCE_SHUTDOWN", instance_name="web1", ignore_offline_nodes=True)
    assert job.status == "success"
    assert not any("hooks" in line for line in said(job, "warning"))


async def test_nothing_runs_in_a_dry_run_or_when_it_is_refused(world: World) -> None:
    await world.add_instance()
    script(world, "instance-start-pre.d/one")
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1", dry_run=True)
    await world.refused("OP_INSTANCE_STARTUP", instance_name="web1", beparams={"memory": 5000})
    assert ran(world) == []


async def test_a_creation_is_told_where_it_goes(world: World) -> None:
    for phase in ("pre", "post"):
        script(world, f"instance-add-{phase}.d/one", node=2)
    await world.done(
        "OP_INSTANCE_CREATE",
        instance_name=WEB1,
        disk_template="file",
        disks=[{"size": 1024}],
        nics=[{}],
        os_type="tiny+default",
        pnode=f"node2.{DOMAIN}",
    )
    assert ran(world, 2) == ["instance-add-pre.d/one", "instance-add-post.d/one"]
    env = told(world, 2, 0)
    assert (env["GANETI_ADD_MODE"], env["GANETI_INSTANCE_PRIMARY"]) == ("create", f"node2.{DOMAIN}")
    assert env["GANETI_INSTANCE_NIC_COUNT"] == env["GANETI_INSTANCE_DISK_COUNT"] == "1"


async def test_a_creation_that_a_hook_refuses_leaves_nothing_behind(world: World) -> None:
    script(world, "instance-add-pre.d/no", Outcome(status=1))
    job = await world.do(
        "OP_INSTANCE_CREATE",
        instance_name=WEB1,
        disk_template="file",
        disks=[{"size": 1024}],
        os_type="tiny+default",
        nics=[{}],
    )
    assert job.ops[0].result[0] == "HooksAbort", job.ops[0].result
    assert not world.picture.instances
    assert all(not world.host(number).disks() for number in (1, 2, 3))


async def test_a_removal_is_told_on_its_nodes_only_afterwards(world: World) -> None:
    await world.add_instance(node=2)
    for node in (1, 2):
        for phase in ("pre", "post"):
            script(world, f"instance-remove-{phase}.d/one", node=node)
    await world.done("OP_INSTANCE_REMOVE", instance_name="web1", shutdown_timeout=7)
    assert ran(world, 1) == ["instance-remove-pre.d/one", "instance-remove-post.d/one"]
    assert ran(world, 2) == ["instance-remove-post.d/one"]
    assert told(world, 2)["GANETI_SHUTDOWN_TIMEOUT"] == "7"
    assert told(world, 2)["GANETI_POST_INSTANCE_NAME"] == WEB1


async def test_a_new_name_is_told_before_and_after(world: World) -> None:
    await world.add_instance()
    script(world, "instance-rename-pre.d/one")
    script(world, "instance-rename-post.d/one")
    await world.done("OP_INSTANCE_RENAME", instance_name="web1", new_name=f"web2.{DOMAIN}")
    assert told(world, call=0)["GANETI_INSTANCE_NEW_NAME"] == f"web2.{DOMAIN}"
    env = told(world)
    assert (env["GANETI_INSTANCE_NAME"], env["GANETI_POST_INSTANCE_NAME"]) == (WEB1, f"web2.{DOMAIN}")


@pytest.mark.parametrize(
    "op_id,params,path,name,value",
    [
        (
            "OP_INSTANCE_REBOOT",
            {"instance_name": "web1", "reboot_type": "hard"},
            "instance-reboot",
            "REBOOT_TYPE",
            "hard",
        ),
        ("OP_INSTANCE_REINSTALL", {"instance_name": "web1"}, "instance-reinstall", "INSTANCE_OS_TYPE", "tiny+default"),
        (
            "OP_INSTANCE_SET_PARAMS",
            {"instance_name": "web1", "beparams": {"maxmem": 512}},
            "instance-modify",
            "INSTANCE_MAXMEM",
            "512",
        ),
        (
            "OP_INSTANCE_GROW_DISK",
            {"instance_name": "web1", "disk": 0, "amount": 8, "ignore_ipolicy": True},
            "disk-grow",
            "AMOUNT",
            "8",
        ),
        ("OP_CLUSTER_SET_PARAMS", {"candidate_pool_size": 3}, "cluster-modify", "OP_TARGET", f"cluster.{DOMAIN}"),
        ("OP_NODE_SET_PARAMS", {"node_name": "node3", "drained": True}, "node-modify", "DRAINED", "True"),
    ],
)
async def test_other_changes_are_told(
    world: World, op_id: str, params: dict[str, object], path: str, name: str, value: str
) -> None:
    await world.add_instance()
    for phase in ("pre", "post"):
        script(world, f"{path}-{phase}.d/one")
    await world.done(op_id, **params)
    assert ran(world) == [f"{path}-pre.d/one", f"{path}-post.d/one"]
    assert told(world, call=0)[f"GANETI_{name}"] == value


async def test_a_verification_counts_hooks_that_fail_as_errors(world: World) -> None:
    script(world, "cluster-verify-post.d/check", Outcome(status=1, stdout="the roof is on fire"), node=2)
    world.put(changed(world.picture.cluster, 1.0, tags=("big",)))
    job = await world.do("OP_CLUSTER_VERIFY_GROUP", group_name="default", error_codes=True)
    assert job.ops[0].result is False
    expected = f"ERROR:ENODEHOOKS:node:node2.{DOMAIN}:script cluster-verify-post.d/check failed: the roof is on fire"
    assert any(expected in line for line in said(job))
    assert told(world, 2)["GANETI_CLUSTER_TAGS"] == "big"


async def test_a_master_that_dies_while_hooks_run_leaves_nothing_half_done(world: World) -> None:
    await world.add_instance()
    script(world, "instance-start-pre.d/one")
    assert await world.crash("OP_INSTANCE_STARTUP", at=0, done=True, instance_name="web1")
    jobs = await world.recover()
    assert jobs[-1].status == "success"  # a start may run again from the start, with its hooks
    assert ran(world) == ["instance-start-pre.d/one"] * 2
    assert world.owed() == []


async def test_a_node_without_scripts_is_asked_once(world: World) -> None:
    await world.add_instance()
    await world.done("OP_INSTANCE_STARTUP", instance_name="web1")
    assert world.last_caller is not None
    asked = [str(call.__struct_config__.tag) for _, call in world.last_caller.asked]
    assert asked.count("hooks.find") == 1
    assert world.picture.nodes[NODE1].name == world.last_caller.asked[0][0]


@pytest.mark.parametrize(
    "op_id,params,path,told_before",
    [
        ("OP_GROUP_ADD", {"group_name": "rack2"}, "group-add", {"GROUP_NAME": "rack2"}),
        (
            "OP_GROUP_SET_PARAMS",
            {"group_name": "default", "alloc_policy": "last_resort"},
            "group-modify",
            {"GROUP_NAME": "default", "NEW_ALLOC_POLICY": "last_resort"},
        ),
        (
            "OP_GROUP_RENAME",
            {"group_name": "default", "new_name": "rack1"},
            "group-rename",
            {"OLD_NAME": "default", "NEW_NAME": "rack1"},
        ),
    ],
)
async def test_changes_of_groups_are_told(
    world: World, op_id: str, params: dict[str, object], path: str, told_before: dict[str, str]
) -> None:
    for phase in ("pre", "post"):
        script(world, f"{path}-{phase}.d/one")
        script(world, f"{path}-{phase}.d/one", node=3)
    await world.done(op_id, **params)
    assert ran(world) == [f"{path}-pre.d/one", f"{path}-post.d/one"]
    assert told(world, call=0)["GANETI_OBJECT_TYPE"] == "GROUP"
    assert {name: told(world, call=0)[f"GANETI_{name}"] for name in told_before} == told_before
    assert len(ran(world, 3)) == (2 if path == "group-rename" else 0)


async def test_the_removal_of_a_group_is_told(world: World) -> None:
    await world.done("OP_GROUP_ADD", group_name="rack2")
    script(world, "group-remove-pre.d/no", Outcome(status=1))
    job = await world.do("OP_GROUP_REMOVE", group_name="rack2")
    assert job.ops[0].result[0] == "HooksAbort"
    assert "rack2" in world.picture.group_names


async def test_a_node_that_goes_says_goodbye_before_it_goes(world: World) -> None:
    for node in (1, 2, 3):
        for phase in ("pre", "post"):
            script(world, f"node-remove-{phase}.d/one", node=node)
    await world.do("OP_NODE_REMOVE", node_name="node3")
    assert ran(world, 1) == ran(world, 2) == ["node-remove-pre.d/one", "node-remove-post.d/one"]
    assert ran(world, 3) == ["node-remove-post.d/one"]
    assert told(world, 3)["GANETI_NODE_NAME"] == f"node3.{DOMAIN}"
    deeds = world.deeds()
    assert deeds.index("node.leave") > deeds.index("hooks.run")

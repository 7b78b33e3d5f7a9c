"""What the watcher decides, and what it remembers."""

from __future__ import annotations

import pytest

from ganeti.main.watching import FORGET_AFTER_S, Decision, InstanceSeen, Memory, NodeSeen, Tries, decide, tried

NODE1 = NodeSeen(name="node1", offline=False, boot_id="boot-1")
NOW_S = 1_000_000.0


def seen(
    status: str, *, name: str = "web1", node: str = "node1", admin_up: bool = True, active: bool = True
) -> InstanceSeen:
    """An instance in some state."""
    return InstanceSeen(name=name, status=status, node=node, admin_up=admin_up, disks_active=active)


def test_what_is_down_and_should_run_is_started() -> None:
    instances = [
        seen("ERROR_down", name="a"),
        seen("running", name="b"),
        seen("ADMIN_down", name="c", admin_up=False, active=False),
        seen("ADMIN_offline", name="d", admin_up=False),
        seen("ERROR_up", name="e", admin_up=False),
        seen("ERROR_wrongnode", name="f"),
    ]
    decision = decide(Memory(), [NODE1], instances, now_s=NOW_S)
    assert decision.start == ("a",)
    assert (decision.clean_up, decision.activate, decision.given_up) == ((), (), ())


def test_what_its_user_shut_down_is_cleaned_up_once() -> None:
    decision = decide(Memory(), [NODE1], [seen("USER_down"), seen("USER_down", name="b", admin_up=False)], now_s=NOW_S)
    assert decision.clean_up == ("web1",)
    assert decision.start == ()


def test_an_instance_is_given_up_after_five_tries_and_tried_again_after_eight_hours() -> None:
    memory, now_s, starts, decision = Memory(), NOW_S, 0, Decision()
    for _ in range(8):
        decision = decide(memory, [NODE1], [seen("ERROR_down")], now_s=now_s)
        starts += len(decision.start)
        memory = tried(decision.memory, dict.fromkeys(decision.start, 1), now_s)
        now_s += 300
    assert starts == 5
    assert decision.given_up == ("web1",)
    late = NOW_S + 4 * 300 + FORGET_AFTER_S
    assert decide(memory, [NODE1], [seen("ERROR_down")], now_s=late - 1).start == ()
    assert decide(memory, [NODE1], [seen("ERROR_down")], now_s=late).start == ("web1",)


def test_an_instance_that_runs_again_has_all_its_tries_again() -> None:
    memory = Memory(tries={"web1": Tries(count=4, last_s=NOW_S - 300)})
    assert decide(memory, [NODE1], [seen("running")], now_s=NOW_S).memory.tries == {}


@pytest.mark.parametrize("status", ["ERROR_nodedown", "ERROR_nodeoffline"])
def test_what_cannot_be_seen_is_left_alone_and_not_forgotten(status: str) -> None:
    memory = Memory(boot_ids={"node1": "boot-1"}, tries={"web1": Tries(count=4, last_s=NOW_S - 300)})
    silent = NodeSeen(name="node1", offline=False, boot_id=None)
    decision = decide(memory, [silent], [seen(status)], now_s=NOW_S)
    assert decision.start == ()
    assert decision.silent == ("node1",)
    assert decision.memory == memory


def test_after_a_reboot_instances_have_all_tries_and_disks_are_activated() -> None:
    memory = Memory(boot_ids={"node1": "boot-0", "node2": "boot-2"}, tries={"web1": Tries(count=5, last_s=NOW_S - 300)})
    nodes = [NODE1, NodeSeen(name="node2", offline=False, boot_id="boot-2")]
    instances = [
        seen("ERROR_down"),
        seen("ADMIN_down", name="disks", admin_up=False),
        seen("ADMIN_down", name="idle", admin_up=False, active=False),
        seen("ADMIN_down", name="elsewhere", node="node2", admin_up=False),
    ]
    decision = decide(memory, nodes, instances, now_s=NOW_S)
    assert decision.rebooted == ("node1",)
    assert decision.start == ("web1",)
    assert decision.activate == ("disks",)
    assert decision.memory.boot_ids == {"node1": "boot-1", "node2": "boot-2"}
    assert decide(decision.memory, nodes, instances, now_s=NOW_S).rebooted == ()


def test_a_node_seen_for_the_first_time_was_not_rebooted_and_one_that_left_is_forgotten() -> None:
    decision = decide(Memory(boot_ids={"gone": "boot-9"}), [NODE1], [], now_s=NOW_S)
    assert decision.rebooted == ()
    assert decision.memory.boot_ids == {"node1": "boot-1"}


def test_a_start_that_has_not_ended_is_waited_for() -> None:
    memory = Memory(tries={"web1": Tries(count=1, last_s=NOW_S - 300, job=7)})
    decision = decide(memory, [NODE1], [seen("ERROR_down")], now_s=NOW_S, open_jobs={7})
    assert (decision.start, decision.under_way) == ((), ("web1",))
    assert decide(memory, [NODE1], [seen("ERROR_down")], now_s=NOW_S).start == ("web1",)

"""Commands that look after a cluster: power, the watcher, disks, files for all nodes; and hooks that said no."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.conftest import NOW_NS, Shell
from tests.unit.cli.fake_master import FakeMaster


def ending(result: Any, **more: Any) -> dict[str, Any]:
    """How a job of one operation ends."""
    return {"op_result": [result], **more}


def test_power_is_told_node_by_node(shell: Shell, master: FakeMaster) -> None:
    rows = [[[0, "node1"], [3, None]], [[0, "node2"], [0, {"powered": True}]]]
    master.endings = [ending(rows)]
    done = shell("gnt-node", "power", "status")
    assert done.out == "Node  Status\nnode1 -\nnode2 powered\n"
    assert done.status == 1
    assert master.submitted[0][0]["command"] == "power-status"


def test_power_is_taken_only_after_a_question(shell: Shell, master: FakeMaster) -> None:
    shell.typed = "n\n"
    assert shell("gnt-node", "power", "off", "node2").status == 1
    assert master.submitted == []
    master.endings = [ending([[[0, "node2"], [0, None]]])]
    done = shell("gnt-node", "power", "-f", "--ignore-status", "--oob-timeout=5", "off", "node2")
    assert (done.status, done.out) == (0, "Node  Status\nnode2 done\n")
    op = master.submitted[0][0]
    assert (op["node_names"], op["ignore_status"], op["timeout"]) == (["node2"], True, 5)


def test_health_is_told_item_by_item(shell: Shell, master: FakeMaster) -> None:
    master.endings = [ending([[[0, "node2"], [0, [["fan", "OK"], ["disk", "CRITICAL"]]]]])]
    done = shell("gnt-node", "health", "--no-headers", "--separator=:")
    assert done.out == "node2:fan=OK,disk=CRITICAL\n"


def test_the_watcher_is_paused_and_goes_on(shell: Shell, master: FakeMaster) -> None:
    master.answers["/watcher/pause"] = {"until_s": None}
    assert shell("gnt-cluster", "watcher", "info").out == "The watcher is not paused.\n"
    done = shell("gnt-cluster", "watcher", "pause", "1h")
    assert done.out.startswith("The watcher is paused until ")
    assert master.requests[-1] == ("/watcher/pause", {"until_s": NOW_NS / 1e9 + 3600})
    assert shell("gnt-cluster", "watcher", "continue").out == "The watcher is no longer paused.\n"
    assert master.requests[-1][1] == {"until_s": None}
    for words in (["pause"], ["info", "1h"], ["pause", "soon"]):
        assert shell("gnt-cluster", "watcher", *words).status == 1


def test_disks_that_need_it_are_activated_and_lost_data_is_told(shell: Shell, master: FakeMaster) -> None:
    master.endings = [
        ending({"jobs": [[True, 2]]}),
        ending([{"node9": "silent"}, ["web1"], {"web2": [["node1", "/data/web2"]]}]),
    ]
    master.answers["/jobs"] = _numbered(master, [1, 3])
    done = shell("gnt-cluster", "verify-disks")
    assert done.status == 1
    assert "Instance web2 has missing data:\n  node node1: /data/web2\n" in done.out
    assert "Activating disks of web1" in done.out
    assert "node9: silent" in done.err


def _numbered(master: FakeMaster, numbers: list[int]) -> Any:
    left = iter(numbers)

    def answer(body: Any) -> Any:
        return 200, {"jobs": [{"id": next(left)} for _ in body["jobs"]]}

    return answer


def test_sizes_that_were_corrected_are_told(shell: Shell, master: FakeMaster) -> None:
    master.endings = [ending([["web1", 0, "size", 2048]])]
    done = shell("gnt-cluster", "repair-disk-sizes", "web1")
    assert done.out == " - instance web1, disk 0: size is 2048 MiB\n"
    assert master.submitted[0][0]["instances"] == ["web1"]


def test_commands_and_files_for_all_nodes_go_their_own_way(shell: Shell, master: FakeMaster) -> None:
    shell("gnt-cluster", "command", "-M", "-n", "node1", "-n", "node2", "uptime")
    shell("gnt-cluster", "copyfile", "--use-replication-network", "/etc/hosts")
    (where, options, words), (_, copy_options, file) = shell.local
    assert (where, words, options["node"], options["show_machine_names"]) == (
        "command",
        ["uptime"],
        ["node1", "node2"],
        True,
    )
    assert (file, copy_options["use_replication_network"]) == (["/etc/hosts"], True)


def test_disks_of_an_instance_are_activated_and_grown(shell: Shell, master: FakeMaster) -> None:
    master.endings = [ending([["node1", "disk/0", "/dev/x"]]), ending(None)]
    assert shell("gnt-instance", "activate-disks", "web1").out == "node1:disk/0:/dev/x\n"
    assert shell("gnt-instance", "grow-disk", "--absolute", "web1", "1", "10G").status == 0
    op = master.submitted[1][0]
    assert (op["disk"], op["amount"], op["absolute"]) == (1, 10240, True)
    done = shell("gnt-instance", "grow-disk", "web1", "first", "10G")
    assert "'first' is not the number of a disk" in done.err


def test_hooks_that_said_no_are_listed(shell: Shell, master: FakeMaster) -> None:
    failures = [["node1", "instance-start-pre.d/10-no", "not today"], ["node2", "instance-start-pre.d/mute", ""]]
    master.endings = [ending(["HooksAbort", [failures]], status="error", op_status=["error"])]
    done = shell("gnt-debug", "delay", "1")
    assert done.status == 1
    assert done.err == (
        "Failure: hooks execution failed:\n"
        "  node: node1, script: instance-start-pre.d/10-no, output: not today\n"
        "  node: node2, script: instance-start-pre.d/mute (no output)\n"
    )


def test_room_for_disks_is_a_table(shell: Shell, master: FakeMaster) -> None:
    master.endings = [ending([["node1", "file", "/srv/ganeti", 65536, 1024, 64512, True]]), ending([["node1", 64512]])]
    assert shell("gnt-node", "list-storage").out == (
        "Node  Type Name         Size Used  Free Allocatable\nnode1 file /srv/ganeti 64.0G 1.0G 63.0G Y\n"
    )
    assert shell("gnt-node", "list-storage", "-o", "node,free", "--units=m", "--no-headers").out == "node1 64512\n"
    assert master.submitted[1][0]["output_fields"] == ["node", "free"]

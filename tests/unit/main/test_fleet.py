"""Commands and files for all nodes: whom they reach, how, and what is printed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ganeti.base.errors import Refused
from ganeti.main.fleet import Fleet, Target, chosen
from sim.processes import FakeRunner, Outcome

HERE = Target("node1", "192.0.2.1", 22, here=True)
FAR = Target("node2", "192.0.2.2", 2222, here=False)
FAR6 = Target("node3", "2001:db8::3", 22, here=False)


def rows() -> list[list[Any]]:
    """As the master answers."""
    return [
        ["node3", "p3", "s3", True, {"ssh_port": 22}, "default", "g-1"],
        ["node1", "p1", "s1", False, {"ssh_port": 22}, "default", "g-1"],
        ["node2", "p2", "s2", False, {"ssh_port": 2222}, "rack2", "g-2"],
    ]


def names(targets: list[Target]) -> list[str]:
    """Their names."""
    return [target.name for target in targets]


def test_all_nodes_that_are_not_offline_are_meant_this_host_last() -> None:
    targets = chosen(rows(), here="node1", group=None, named=False)
    assert targets == [Target("node2", "p2", 2222, here=False), Target("node1", "p1", 22, here=True)]


def test_named_nodes_are_meant_even_offline_and_groups_go_by_name_or_uuid() -> None:
    assert names(chosen(rows(), here="node1", group=None, named=True)) == ["node2", "node3", "node1"]
    assert names(chosen(rows(), here="node1", group="g-2", named=False)) == ["node2"]
    assert chosen(rows(), here="node1", group="rack2", named=False, secondary=True)[0].address == "s2"
    with pytest.raises(Refused, match="in a group 'nowhere'"):
        chosen(rows(), here="node1", group="nowhere", named=False)


async def test_a_command_runs_here_without_ssh_and_elsewhere_by_key() -> None:
    runner, out = FakeRunner(), io.StringIO()
    runner.on("/bin/sh", Outcome(stdout="one\ntwo"))
    runner.on("ssh", Outcome(status=3, stderr="no such thing\n"))
    assert await Fleet(runner=runner, out=out).command([FAR, HERE], ["cat", "/etc/motd"]) == 1
    rule = "-" * 48
    assert out.getvalue() == (
        f"{rule}\nnode: node2\nno such thing\nreturn code = 3\n{rule}\nnode: node1\none\ntwo\nreturn code = 0\n"
    )
    by_program = {call.argv[0]: call.argv for call in runner.calls}
    assert by_program["/bin/sh"] == ("/bin/sh", "-c", "cat /etc/motd")
    assert by_program["ssh"][-2:] == ("192.0.2.2", "cat /etc/motd")
    assert {"BatchMode=yes", "HostKeyAlias=node2", "2222"} <= set(by_program["ssh"])


async def test_lines_with_names_and_failures_only() -> None:
    runner, out = FakeRunner(), io.StringIO()
    runner.on("/bin/sh", Outcome(stdout="fine\n"))
    runner.on("ssh", Outcome(status=1, stdout="bad\n"))
    fleet = Fleet(runner=runner, out=out)
    assert await fleet.command([FAR, HERE], ["x"], prefixed=True) == 1
    assert out.getvalue() == "node2: bad\nnode2: return code = 1\nnode1: fine\n"
    assert await fleet.command([HERE], ["x"], failures_only=True) == 0
    assert out.getvalue().count("fine") == 1


async def test_a_file_goes_to_all_others_and_failures_are_told() -> None:
    runner, out = FakeRunner(), io.StringIO()
    runner.on(lambda argv: "192.0.2.2:/etc/hosts" in argv, Outcome(status=1, stderr="no space\n"))
    runner.on(lambda argv: "[2001:db8::3]:/etc/hosts" in argv, Outcome())
    assert await Fleet(runner=runner, out=out).copy([FAR, FAR6, HERE], "/etc/hosts") == 1
    assert out.getvalue() == "Copy of file /etc/hosts to node node2 failed: no space\n"
    assert len(runner.calls) == 2
    assert all(call.argv[0] == "scp" and "-P" in call.argv for call in runner.calls)


async def test_a_program_that_is_not_there_is_a_failure_of_its_node() -> None:
    out = io.StringIO()
    assert await Fleet(runner=FakeRunner(), out=out).command([FAR], ["x"]) == 1
    assert "return code = 255" in out.getvalue()

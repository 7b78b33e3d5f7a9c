"""Limits by control groups of version 2, on a tree of plain files; version 1 is tried with real guests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti.base.files import SystemFiles
from ganeti.drivers.hypervisor.kvm.cgroups import Groups, limits_for, scope_of

KNOBS = ("cgroup.procs", "cgroup.subtree_control", "cpu.max", "cpu.weight", "memory.max")


class Tree(SystemFiles):
    """A host whose files are below a directory; a new group has the files the kernel puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        return super().read(f"{self.root}{path}")

    def exists(self, path: str) -> bool:
        return super().exists(f"{self.root}{path}")

    def append(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        super().append(f"{self.root}{path}", data, mode=mode)

    def list_dir(self, path: str) -> list[str]:
        return super().list_dir(f"{self.root}{path}")

    def make_dirs(self, path: str, *, mode: int = 0o750) -> None:
        Path(f"{self.root}{path}").mkdir(exist_ok=True)
        for knob in KNOBS:
            Path(f"{self.root}{path}/{knob}").touch()

    def remove_dir(self, path: str) -> None:
        for knob in KNOBS:
            Path(f"{self.root}{path}/{knob}").unlink(missing_ok=True)
        super().remove_dir(f"{self.root}{path}")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A host with the unified hierarchy only."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("cgroup2 /cg cgroup2 rw,nosuid 0 0\ntmpfs /run tmpfs rw 0 0\n")
    tree = Tree(tmp_path)
    tree.make_dirs("/cg")
    (tmp_path / "cg/cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tree


def test_a_guest_is_placed_in_a_group_with_its_limits(tree: Tree) -> None:
    placed = Groups(tree, scope="0123abcd").place("web1", 4711, limits_for(2, 1024))

    group = tree.root / "cg/ganeti/0123abcd-web1"
    assert (placed.groups, placed.problem) == (("/cg/ganeti/0123abcd-web1",), "")
    assert (group / "cpu.max").read_text() == "300000 100000"
    assert (group / "cpu.weight").read_text() == "200"
    assert (group / "memory.max").read_text() == str((1024 + 768) * 2**20)
    assert (group / "cgroup.procs").read_text() == "4711"
    assert (tree.root / "cg/cgroup.subtree_control").read_text() == "+cpu +memory"
    assert Groups(tree, scope="0123abcd").pids("web1") == [4711]


def test_the_last_guest_takes_the_common_parent_away(tree: Tree) -> None:
    groups = Groups(tree, scope="0123abcd")
    groups.place("web1", 1, limits_for(1, 64))
    groups.place("web2", 2, limits_for(1, 64))

    assert groups.remove("web1")
    assert (tree.root / "cg/ganeti/0123abcd-web2").exists()
    assert groups.remove("web2")
    assert groups.remove("web2")
    assert not (tree.root / "cg/ganeti").exists()


def test_a_host_without_the_controllers_runs_guests_without_limits_and_says_so(tree: Tree) -> None:
    (tree.root / "cg/cgroup.controllers").write_text("hugetlb\n")

    placed = Groups(tree, scope="0123abcd").place("web1", 4711, limits_for(2, 1024))

    assert placed.groups == ()
    assert "no control group hierarchy" in placed.problem
    assert Groups(tree, scope="0123abcd").pids("web1") == []
    assert Groups(tree, scope="0123abcd").remove("web1")


def test_a_hierarchy_that_cannot_be_used_is_told(tree: Tree) -> None:
    (tree.root / "cg/cgroup.subtree_control").unlink()

    placed = Groups(tree, scope="0123abcd").place("web1", 4711, limits_for(2, 1024))

    assert placed.groups == ()
    assert "cgroup.subtree_control is not there" in placed.problem


def test_hosts_on_one_kernel_have_groups_of_their_own() -> None:
    assert scope_of("node1", "/run") != scope_of("node2", "/run")
    assert scope_of("node1", "/a/run") != scope_of("node1", "/b/run")
    assert len(scope_of("node1", "/run")) == 8

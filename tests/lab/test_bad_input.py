"""What is wrong in a request, or on the host, is said with cause and way out, and nothing is changed by it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import BIN, NODE, Cluster, kvm_cluster, needs_qemu, needs_root, until, write_os
from tests.lab.machine import Machine, can_have_cgroups

pytestmark = [pytest.mark.qemu, pytest.mark.lab, needs_root, needs_qemu]

FILE = ("-t", "file", "-s", "1G", "-o", "quick")
SMALL = "/srv/ganeti/file-storage/small"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """KVM is the usual hypervisor here; there is one instance, `taken`."""
    with kvm_cluster(tmp_path_factory.mktemp("bad"), cgroups=can_have_cgroups()) as made:
        made.gnt("gnt-cluster", "modify", "--enabled-hypervisors=kvm,fake")
        write_os(made, "quick", create="#!/bin/sh\nexit 0\n")
        made.gnt("gnt-instance", "add", *FILE, "-H", "fake", "taken.lab.example")
        # The first guest makes the directories that the driver keeps.
        made.gnt("gnt-instance", "add", *FILE, "first.lab.example")
        made.remove("first.lab.example")
        yield made


def changes_nothing(cluster: Cluster, *argv: str, kind: str, says: list[str], status: int = 1) -> str:
    """Run a command that must be refused; `kind` is the error type, or the first line of another error."""
    before = cluster.seen()
    said = cluster.refused(*argv, status=status)
    assert f"error type: {kind}, " in said or f"Failure: {kind}" in said
    for words in says:
        assert words in said
    assert difference(before, cluster.seen()) == []
    return said


def difference(before: str, after: str) -> list[str]:
    """What is only in one of them."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


ADDITIONS = [
    pytest.param(["-o", "nope"], "wrong_input", ["no OS 'nope'", "there is quick, tiny"], id="unknown OS"),
    pytest.param(["-o", "tiny+huge"], "wrong_input", ["no variant 'huge'", "default, disk"], id="unknown variant"),
    pytest.param(["-O", "colour=red"], "wrong_input", ["no parameter 'colour'", "it has color"], id="OS parameter"),
    pytest.param(
        ["-o", "tiny", "-O", "port=0"],
        "wrong_input",
        ["parameter port is '0'", "way out: set it with -O port=NUMBER"],
        id="value the OS does not take",
    ),
    pytest.param(["-H", "vmware"], "wrong_input", ["no hypervisor 'vmware'", "fake, kvm"], id="unknown hypervisor"),
    pytest.param(["-H", "kvm:colour=red"], "wrong_input", ["no parameter 'colour'"], id="hypervisor parameter"),
    pytest.param(["-H", "kvm:disk_cache=some"], "wrong_input", ["disk_cache", "some", "none"], id="value not a choice"),
    pytest.param(["-B", "colour=red"], "wrong_input", ["no parameter 'colour'", "maxmem"], id="backend parameter"),
    pytest.param(["-B", "vcpus=0"], "wrong_input", ["'0'", "vcpus", "at least 1"], id="value out of range"),
    pytest.param(["-B", "vcpus=many"], "wrong_input", ["'many'", "vcpus", "whole number"], id="value of another type"),
    pytest.param(
        ["-B", "maxmem=64G,minmem=64G"], "wrong_input", ["memory size 65536", "32768", "--ignore-ipolicy"], id="policy"
    ),
    pytest.param(
        ["-B", "minmem=512,maxmem=256"], "wrong_input", ["minmem", "maxmem"], id="least memory above the most"
    ),
    pytest.param(["-s", "0"], "wrong_input", ["size of 0", "at least 1 MiB"], id="no disk size"),
    pytest.param(["-s", "-5"], "wrong_input", ["'-5' is not a size"], id="negative disk size"),
    pytest.param(["-s", "900G"], "insufficient_resources", ["921600 MiB", "MiB free"], id="disk above free space"),
    pytest.param(["-s", "ten"], "wrong_input", ["'ten' is not a size"], id="disk size in words"),
    pytest.param(["-t", "floppy"], None, ["floppy"], id="unknown disk template"),
    pytest.param(["-t", "plain"], "wrong_input", ["no disk template 'plain'", "file"], id="template not there"),
    pytest.param(
        ["--net", "0:link=nobr"], "insufficient_resources", ["bridge nobr", "ip link add name nobr"], id="no bridge"
    ),
    pytest.param(["--net", "0:mac=1:2"], "wrong_input", ["1:2"], id="not a MAC"),
    pytest.param(["--net", "0:ip=300.1.1.1"], "wrong_input", ["300.1.1.1"], id="not an address"),
    pytest.param(
        ["-H", "kvm:kernel_path=/boot/none"],
        "insufficient_resources",
        ["/boot/none (kernel_path) is not there", "put it on this node"],
        id="no kernel file",
    ),
    pytest.param(["-n", "node9"], "unknown_entity", ["node9"], id="unknown node"),
    pytest.param(["--iallocator", "hail"], "wrong_input", ["not served yet"], id="what is not served yet"),
    pytest.param(["--tags", "no tag!"], "wrong_input", ["'no tag!'"], id="not a tag"),
]


@pytest.mark.parametrize("arguments,kind,says", ADDITIONS)
def test_an_instance_that_cannot_be_made(
    cluster: Cluster, arguments: list[str], kind: str | None, says: list[str]
) -> None:
    given = [*FILE, *arguments] if "-s" not in arguments else [*FILE[:2], *FILE[4:], *arguments]
    argv = ["gnt-instance", "add", *given, "new.lab.example"]
    if kind is not None:
        changes_nothing(cluster, *argv, kind=kind, says=says)
        return
    before = cluster.seen()
    said = cluster.refused(*argv)
    assert all(words in said for words in says)
    assert difference(before, cluster.seen()) == []


@pytest.mark.parametrize(
    "name,kind,says",
    [
        pytest.param("taken.lab.example", "already_exists", ["already in the cluster"], id="taken"),
        pytest.param("no.-good", "wrong_input", ["'no.-good' is not a valid instance name", "hyphens"], id="hyphen"),
        pytest.param("a b", "wrong_input", ["'a b' is not a valid instance name"], id="space"),
        pytest.param("../../etc", "wrong_input", ["'../../etc' is not a valid instance name"], id="path"),
        pytest.param("x" * 64, "wrong_input", ["is not a valid instance name"], id="too long"),
        pytest.param("", "wrong_input", ["is not a valid instance name"], id="empty"),
    ],
)
def test_a_name_that_cannot_be_given(cluster: Cluster, name: str, kind: str, says: list[str]) -> None:
    changes_nothing(cluster, "gnt-instance", "add", *FILE, name, kind=kind, says=says)
    changes_nothing(cluster, "gnt-instance", "rename", "taken.lab.example", name or "''", kind="", says=[])


@pytest.mark.parametrize(
    "argv,kind,says",
    [
        (["info", "none"], "unknown_entity", ["'none'"]),
        (["startup", "none"], "wrong_input", ["does not match any instances"]),
        (["startup", "none", "taken"], "unknown_entity", ["none"]),
        (["remove", "--force", "none"], "unknown_entity", ["'none'"]),
        (["reinstall", "--force", "taken"], "wrong_state", ["taken.lab.example is marked to be up", "stop it first"]),
        (
            ["rename", "taken", "free.lab.example"],
            "wrong_state",
            ["taken.lab.example is marked to be up", "stop it first"],
        ),
        (["modify", "taken"], "wrong_input", ["nothing to change"]),
        (["modify", "-B", "vcpus=0", "taken"], "wrong_input", ["at least 1"]),
        (["modify", "--disk", "7:mode=ro", "taken"], "", ["7"]),
        (["modify", "--disk", "0:size=5G", "taken"], "wrong_input", ["grow-disk"]),
        (["modify", "--no-hotplug", "--net", "3:remove", "taken"], "", ["3"]),
    ],
)
def test_a_request_about_an_instance(cluster: Cluster, argv: list[str], kind: str, says: list[str]) -> None:
    changes_nothing(cluster, "gnt-instance", *argv, kind=kind, says=says)


def test_an_os_script_that_fails_shows_its_last_lines(cluster: Cluster) -> None:
    write_os(cluster, "failing", create="#!/bin/sh\necho first >&2\necho 'tar: it is not a tar' >&2\nexit 7\n")
    said = changes_nothing(
        cluster,
        *["gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "failing", "new.lab.example"],
        kind="command execution error",
        says=["create script of OS 'failing' for new.lab.example failed", "status 7", "it is not a tar", "its log"],
    )
    log = said.rpartition("its log on this node: ")[2].partition(")")[0]
    assert "it is not a tar" in cluster.path(log).read_text()


def test_an_os_script_that_hangs_is_ended_with_all_its_processes(cluster: Cluster) -> None:
    write_os(cluster, "hanging", create="#!/bin/sh\necho waiting for godot\nsleep 4711 &\nsleep 4712\n")
    changes_nothing(
        cluster,
        *["gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "hanging", "--install-timeout=1", "new.lab.example"],
        kind="command execution error",
        says=["create script of OS 'hanging'", "1 s", "waiting for godot", "--install-timeout"],
    )
    assert "sleep 471" not in cluster.sh("ps -eo args")


def test_an_os_script_that_is_not_executable(cluster: Cluster) -> None:
    write_os(cluster, "plainfile", create="#!/bin/sh\nexit 0\n", mode=0o644)
    changes_nothing(
        cluster,
        *["gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "plainfile", "new.lab.example"],
        kind="",
        says=["/srv/ganeti/os/plainfile", "create", "not executable", "chmod"],
    )


def test_a_qemu_that_dies_at_its_start_is_quoted(cluster: Cluster) -> None:
    changes_nothing(
        cluster,
        *["gnt-instance", "add", *FILE, "-H", "kvm:kvm_extra=-device no-such-device", "new.lab.example"],
        kind="command execution error",
        says=["'no-such-device' is not a valid device model name"],
    )


def test_a_disk_that_runs_full_while_the_script_writes(cluster: Cluster) -> None:
    write_os(
        cluster, "filling", create='#!/bin/sh\nexec dd if=/dev/zero of="$DISK_0_PATH" bs=1M count=30 conv=notrunc\n'
    )
    cluster.sh(f"mkdir -p {SMALL}; mount -t tmpfs -o size=32M tmpfs {SMALL}; head -c 10M /dev/zero >{SMALL}/other")
    add = ["gnt-instance", "add", "-t", "file", "--ignore-ipolicy", "--file-storage-dir=small", "-H", "fake"]
    try:
        changes_nothing(
            cluster,
            *[*add, "-s", "22M", "-o", "filling", "new.lab.example"],
            kind="command execution error",
            says=["create script of OS 'filling'", "No space left on device"],
        )
        cluster.sh(f"head -c 22M /dev/zero >{SMALL}/more || true")
        changes_nothing(
            cluster,
            *[*add, "-s", "22M", "-o", "quick", "new.lab.example"],
            kind="",
            says=["22 MiB", "MiB free"],
        )
    finally:
        cluster.sh(f"umount {SMALL}; rmdir {SMALL}")


def test_a_file_system_without_inodes(cluster: Cluster) -> None:
    cluster.sh(f"mkdir -p {SMALL}; mount -t tmpfs -o size=32M,nr_inodes=1 tmpfs {SMALL}")
    try:
        changes_nothing(
            cluster,
            *["gnt-instance", "add", "-t", "file", "--ignore-ipolicy", "--file-storage-dir=small", "-H", "fake"],
            *["-s", "22M", "-o", "quick", "new.lab.example"],
            kind="command execution error",
            says=["cannot create disk", SMALL, "No space left on device"],
        )
    finally:
        cluster.sh(f"umount {SMALL}; rmdir {SMALL}")


def test_the_master_daemon_is_down(cluster: Cluster) -> None:
    cluster.sh("ganeti-daemons stop masterd")
    try:
        for argv in (["gnt-instance", "list"], ["gnt-instance", "add", *FILE, "new"], ["gnt-job", "list"]):
            said = cluster.refused(*argv)
            assert "the master daemon does not answer" in said
            assert "start it with 'ganeti-daemons start'" in said
    finally:
        cluster.sh("ganeti-daemons start")
    assert cluster.names() == ["taken.lab.example"]


def test_the_node_daemon_is_down(cluster: Cluster) -> None:
    before = cluster.seen()
    cluster.sh("ganeti-daemons stop noded")
    try:
        for argv in (
            ["gnt-instance", "add", *FILE, "-H", "fake", "new.lab.example"],
            ["gnt-instance", "shutdown", "taken.lab.example"],
        ):
            said = cluster.refused(*argv)
            assert f"{NODE} does not answer" in said
            assert "ganeti-daemons start" in said
        assert (
            "noded" in cluster.refused("gnt-cluster", "verify")
            or "does not answer" in cluster.run("gnt-cluster", "verify")[1]
        )
        assert cluster.field("taken.lab.example", "name") == "taken.lab.example", "the list does not need the node"
    finally:
        cluster.sh("ganeti-daemons start")
    until(lambda: cluster.field("taken.lab.example", "status") == "running", "the node is asked again")
    assert cluster.sh("gnt-instance list --no-headers -o name,admin_state").split() == ["taken.lab.example", "up"]
    assert difference(without_pids(before), without_pids(cluster.seen())) == []


def without_pids(seen: str) -> str:
    return "\n".join(line for line in seen.splitlines() if "ganeti-noded" not in line)


def test_who_is_not_root_is_told_so(cluster: Cluster) -> None:
    for directory in Path(sys.executable).resolve().parents:  # Python may be installed where only root may look
        cluster.machine.sh(f"chmod a+x {directory}")
    before = cluster.seen()
    commands = (
        "gnt-instance list",
        "gnt-instance remove --force taken.lab.example",
        "gnt-cluster destroy --yes-do-it",
        "gnt-cluster init other.lab.example",
        "ganeti-daemons stop",
    )
    for command in commands:
        done = cluster.machine.run(
            [
                *["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                *["--inh-caps=-all", "--bounding-set=-all"],
                *["bash", "-c", f"PATH={BIN}:$PATH {command}"],
            ]
        )
        assert done.returncode == 1, done.stdout
        assert "root" in done.stdout
        assert "Traceback" not in done.stdout
    assert difference(before, cluster.seen()) == []


def test_a_node_that_is_not_the_master(cluster: Cluster) -> None:
    cluster.sh("ganeti-daemons stop masterd; cp -a /var/lib/ganeti/node.json /root/node.json")
    settings = cluster.path("/var/lib/ganeti/node.json")
    settings.write_text(settings.read_text().replace(f'"master_name": "{NODE}"', '"master_name": "node2.lab.example"'))
    try:
        for argv in (["gnt-instance", "list"], ["gnt-cluster", "verify"]):
            said = cluster.refused(*argv, status=11)
            assert f"this node ({NODE}) is not the master" in said
            assert "run the command on node2.lab.example" in said
        said = cluster.refused("ganeti-masterd", status=11)
        assert "node2.lab.example" in said
        assert cluster.gnt("gnt-cluster", "getmaster").strip() == "node2.lab.example"
    finally:
        cluster.sh("cp -a /root/node.json /var/lib/ganeti/node.json; rm /root/node.json; ganeti-daemons start")
    assert cluster.names() == ["taken.lab.example"]


def test_a_machine_that_is_in_a_cluster_makes_no_other(cluster: Cluster) -> None:
    said = changes_nothing(cluster, "gnt-cluster", "init", "other.lab.example", kind="", says=["cluster.lab.example"])
    assert "error type" in said


def test_a_cluster_with_instances_is_not_destroyed(cluster: Cluster) -> None:
    changes_nothing(
        cluster, "gnt-cluster", "destroy", "--yes-do-it", kind="wrong_state", says=["taken.lab.example", "remove"]
    )


EATER = """#!/bin/sh
dd if=/dev/zero of=/var/lib/ganeti/eaten bs=64k 2>/dev/null
setsid sh -c 'sleep 1; rm /var/lib/ganeti/eaten' >/dev/null 2>&1 &
"""


def test_the_disk_of_the_store_is_full(tmp_path: Path) -> None:
    with Machine(tmp_path) as machine:
        machine.sh("mkdir -p /var/lib/ganeti; mount -t tmpfs -o size=8M,mode=755 tmpfs /var/lib/ganeti")
        cluster = Cluster.make(machine, "--enabled-hypervisors=fake", "--enabled-disk-templates=file,diskless")
        write_os(cluster, "quick", create="#!/bin/sh\nexit 0\n")
        write_os(cluster, "eater", create=EATER)
        machine.run(["dd", "if=/dev/zero", "of=/var/lib/ganeti/eaten", "bs=4k"])
        said = cluster.refused("gnt-instance", "add", *FILE, "new.lab.example")
        assert "database or disk is full" in said
        assert "/var/lib/ganeti" in said
        assert cluster.names() == [], "it can still be asked"
        machine.sh("rm /var/lib/ganeti/eaten")
        said = cluster.refused("gnt-instance", "add", *FILE[:-1], "eater", "new.lab.example")
        assert "undoing what was done so far" in said
        assert "database or disk is full" in said
        assert cluster.names() == []
        assert (
            cluster.sh("find /srv/ganeti/file-storage -mindepth 1; find /run/ganeti -path '*/fake-hypervisor/*'") == ""
        )
        cluster.gnt("gnt-instance", "add", *FILE, "new.lab.example")
        cluster.gnt("gnt-cluster", "verify")

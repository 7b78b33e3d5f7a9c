"""The watcher and the operator's hooks, with real daemons and scripts; guests are those of the fake hypervisor."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from tests.lab.cluster import CLUSTER, NODE, Cluster, fake_cluster, needs_root

pytestmark = [pytest.mark.lab, needs_root]

WEB = "web1.lab.example"
FAKE = "/run/ganeti/fake-hypervisor"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With one instance that runs."""
    with fake_cluster(tmp_path_factory.mktemp("watcher")) as made:
        made.gnt("gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "quick", WEB)
        yield made


def hook(cluster: Cluster, path: str, text: str) -> None:
    """Write a script below the directory of hooks."""
    where = f"/etc/ganeti/hooks/{path}"
    cluster.machine.sh(
        f"mkdir -p $(dirname {where}); printf '%s\\n' '#!/bin/sh' {shlex.quote(text)} >{where}; chmod 755 {where}"
    )


def watch(cluster: Cluster, *options: str, status: int = 0) -> str:
    """One run; what is new in its log."""
    cluster.machine.sh("rm -f /var/log/ganeti/watcher.log")
    ended, said = cluster.run("ganeti-watcher", *options)
    assert ended == status, said
    return cluster.path("/var/log/ganeti/watcher.log").read_text()


def lose(cluster: Cluster, *names: str) -> None:
    """End guests behind everybody's back."""
    for name in names:
        cluster.machine.sh(f"rm {FAKE}/{name}*")
        assert cluster.field(name, "status") == "ERROR_down"


def test_a_guest_that_was_lost_is_started_again(cluster: Cluster) -> None:
    lose(cluster, WEB)
    log = watch(cluster)
    assert f"op=OP_INSTANCE_STARTUP instance={WEB}" in log
    assert cluster.field(WEB, "status") == "running"
    assert "job ended well" in log
    assert "OP_INSTANCE_STARTUP" not in watch(cluster)


def test_a_watcher_that_rests_starts_nothing_until_it_goes_on(cluster: Cluster) -> None:
    assert "paused until" in cluster.gnt("gnt-cluster", "watcher", "pause", "1h")
    assert "paused until" in cluster.gnt("gnt-cluster", "watcher", "info")
    lose(cluster, WEB)
    assert "paused until=" in watch(cluster)
    assert cluster.field(WEB, "status") == "ERROR_down"
    watch(cluster, "--ignore-pause")
    assert cluster.field(WEB, "status") == "running"
    cluster.gnt("gnt-cluster", "watcher", "continue")
    assert cluster.gnt("gnt-cluster", "watcher", "info") == "The watcher is not paused.\n"
    assert "for how long?" in cluster.refused("gnt-cluster", "watcher", "pause")


def test_daemons_that_died_are_started_first(cluster: Cluster) -> None:
    cluster.kill("ganeti-masterd", "ganeti-noded")
    lost = cluster.path(FAKE)
    for path in lost.iterdir():
        path.unlink()
    log = watch(cluster)
    assert "ganeti-noded started" in log
    assert "ganeti-masterd started" in log
    assert cluster.field(WEB, "status") == "running"


def test_disks_that_should_be_accessible_are_activated(cluster: Cluster) -> None:
    cluster.gnt("gnt-instance", "stop", WEB)
    cluster.gnt("gnt-instance", "activate-disks", WEB)
    cluster.machine.sh("rm /run/ganeti/instance-disks/*")
    assert f"op=OP_INSTANCE_ACTIVATE_DISKS instance={WEB}" in watch(cluster)
    assert cluster.machine.sh("ls /run/ganeti/instance-disks") == f"{WEB}:0\n"
    cluster.machine.sh("rm /run/ganeti/instance-disks/*")
    assert "Activating disks of web1" in cluster.gnt("gnt-cluster", "verify-disks")
    assert cluster.gnt("gnt-cluster", "verify-disks").endswith("No disks need to be activated.\n")
    cluster.gnt("gnt-instance", "start", WEB)


def test_its_own_hooks_run_on_every_run(cluster: Cluster) -> None:
    hook(cluster, "watcher/10-see", "env >/var/lib/ganeti/seen-by-the-watcher")
    hook(cluster, "watcher/20-fail", "echo out of paper; exit 1")
    assert 'hook failed script=watcher/20-fail output="out of paper"' in watch(cluster)
    seen = cluster.path("/var/lib/ganeti/seen-by-the-watcher").read_text()
    assert f"GANETI_CLUSTER={CLUSTER}" in seen.splitlines()


def test_a_hook_that_says_no_is_told_by_node_and_script_and_nothing_happens(cluster: Cluster) -> None:
    hook(cluster, "instance-stop-pre.d/10-never", 'echo "$GANETI_INSTANCE_NAME stays up"; exit 1')
    said = cluster.refused("gnt-instance", "stop", WEB)
    assert (
        f"Failure: hooks execution failed:\n  node: {NODE}, script: instance-stop-pre.d/10-never, "
        f"output: {WEB} stays up\n" in said
    )
    assert cluster.field(WEB, "status") == "running"
    cluster.machine.sh("rm /etc/ganeti/hooks/instance-stop-pre.d/10-never")


def test_hooks_after_it_know_what_was_and_what_is(cluster: Cluster) -> None:
    hook(cluster, "instance-stop-post.d/see", "env >/var/lib/ganeti/seen-by-a-hook; echo noted >&2; exit 3")
    said = cluster.gnt("gnt-instance", "stop", WEB)
    assert f"hook instance-stop-post.d/see failed on node {NODE}: noted" in said
    seen = cluster.path("/var/lib/ganeti/seen-by-a-hook").read_text().splitlines()
    assert {
        "GANETI_INSTANCE_STATUS=up",
        "GANETI_POST_INSTANCE_STATUS=down",
        "GANETI_OP_CODE=OP_INSTANCE_SHUTDOWN",
    } <= set(seen)
    assert "PATH=/sbin:/bin:/usr/sbin:/usr/bin" in seen
    assert not [line for line in seen if not line.startswith(("GANETI_", "PATH=", "PWD=", "_=", "SHLVL="))]


def test_a_hook_of_verification_that_fails_is_an_error_of_it(cluster: Cluster) -> None:
    hook(cluster, "cluster-verify-post.d/roof", "echo the roof leaks; exit 1")
    said = cluster.refused("gnt-cluster", "verify", "--error-codes")
    assert f"ERROR:ENODEHOOKS:node:{NODE}:script cluster-verify-post.d/roof failed: the roof leaks" in said


def test_birth_and_end_of_a_cluster_have_their_hooks(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fake_cluster(tmp_path_factory.mktemp("destroy")) as made:
        note = "env | grep -e OP_ -e _PATH= >>/root/noted"
        hook(made, "cluster-destroy-post.d/note", note)
        hook(made, "cluster-init-post.d/note", f"{note}; echo too late; exit 1")
        made.gnt("gnt-cluster", "destroy", "--yes-do-it")
        said = made.gnt("gnt-cluster", "init", "--enabled-hypervisors=fake", CLUSTER)
        assert "hook cluster-init-post.d/note failed: too late" in said
        noted = made.path("/root/noted").read_text().splitlines()
        assert [line for line in noted if line.startswith("GANETI_OP_CODE")] == [
            "GANETI_OP_CODE=OP_CLUSTER_DESTROY",
            "GANETI_OP_CODE=OP_CLUSTER_POST_INIT",
        ]
        assert noted.count(f"GANETI_OP_TARGET={CLUSTER}") == 2

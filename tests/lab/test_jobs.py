"""Jobs as a user handles them: watched, waited for, cancelled, made urgent, archived; with a real master and store."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.cluster import NODE, Cluster, fake_cluster, needs_root, until
from tests.lab.terminal import Terminal

pytestmark = [pytest.mark.lab, needs_root]

CREATE = ("gnt-instance", "add", "-t", "diskless", "-o", "quick")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with fake_cluster(tmp_path_factory.mktemp("jobs")) as made:
        yield made


@pytest.fixture
def lock(cluster: Cluster) -> Iterator[int]:
    """A job that has the node for itself until it is killed."""
    job = cluster.submitted("gnt-debug", "delay", "-n", NODE, "300")
    until(lambda: cluster.job_status(job) == "running", "the delay has the node")
    yield job
    cluster.run("gnt-job", "cancel", "--kill", "--yes-do-it", str(job))
    until(lambda: cluster.job_status(job) in ("canceled", "error"), "the delay is over")


def field(cluster: Cluster, job: int, name: str) -> str:
    return cluster.gnt("gnt-job", "list", "--no-headers", "-o", name, str(job)).strip()


def test_a_job_is_listed_and_told_of(cluster: Cluster) -> None:
    job = cluster.submitted("gnt-debug", "delay", "0")
    assert cluster.run("gnt-job", "wait", str(job))[0] == 0
    assert field(cluster, job, "id,status,summary").split() == [str(job), "success", "TEST_DELAY(0.0)"]
    info = cluster.gnt("gnt-job", "info", str(job))
    assert f"Job ID: {job}" in info
    assert "Status: success" in info
    assert "OP_TEST_DELAY" in info
    assert cluster.json("gnt-job", "list", "-o", "id,status", str(job)) == [{"id": job, "status": "success"}]


def test_waiting_ends_as_the_job_does(cluster: Cluster) -> None:
    job = cluster.submitted(*CREATE, "-n", "node9", "x.lab.example")
    said = cluster.refused("gnt-job", "wait", str(job))
    assert "node9" in said
    assert "node9" in cluster.refused("gnt-job", "watch", str(job))
    assert cluster.job_status(job) == "error"


def test_watching_shows_the_log_as_it_comes(cluster: Cluster) -> None:
    job = cluster.submitted("gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "quick", "log.lab.example")
    said = cluster.gnt("gnt-job", "watch", str(job))
    assert f"Output from job {job} follows" in said
    assert "* creating instance disks..." in said
    cluster.remove("log.lab.example")


def test_a_job_that_waits_for_a_lock_is_seen_and_cancelled(cluster: Cluster, lock: int) -> None:
    waiting = cluster.submitted(*CREATE, "never.lab.example")
    until(lambda: cluster.job_status(waiting) == "waiting", "it waits")
    node = cluster.gnt("gnt-node", "list", "--no-headers", "-o", "uuid").strip()
    held = next(line for line in cluster.gnt("gnt-debug", "locks").splitlines() if line.startswith(f"node/{node}"))
    assert held.split()[1:] == ["exclusive", str(lock), f"shared:{waiting}"]
    assert "canceled" in cluster.gnt("gnt-job", "cancel", str(waiting))
    until(lambda: cluster.job_status(waiting) == "canceled", "it is cancelled")
    said = cluster.refused("gnt-job", "wait", str(waiting))
    assert "cancel" in said
    assert cluster.names() == []
    assert f"Job {waiting} has ended already" in cluster.refused("gnt-job", "cancel", str(waiting))
    assert cluster.job_status(lock) == "running"


def test_all_that_wait_are_cancelled_at_once(cluster: Cluster, lock: int) -> None:
    queued = cluster.submitted("gnt-debug", "delay", "0")
    assert cluster.run("gnt-job", "wait", str(queued))[0] == 0, "who needs no lock does not wait"
    jobs = [cluster.submitted(*CREATE, f"i{number}.lab.example") for number in range(3)]
    until(lambda: all(cluster.job_status(job) == "waiting" for job in jobs), "all wait")
    assert "no terminal" in cluster.refused("gnt-job", "cancel", "--pending", status=13)
    with Terminal(cluster, "gnt-job", "cancel", "--pending") as terminal:
        said = terminal.read_until("y/[n]")
        assert all(str(job) in said for job in jobs)
        terminal.press("y\n")
        assert terminal.process.wait(timeout=60) == 0
    until(lambda: all(cluster.job_status(job) == "canceled" for job in jobs), "all are cancelled")


def test_a_running_job_is_not_cancelled_but_can_be_killed(cluster: Cluster, lock: int) -> None:
    assert "end it with --kill" in cluster.refused("gnt-job", "cancel", str(lock))
    assert cluster.job_status(lock) == "running"
    assert "--yes-do-it" in cluster.refused("gnt-job", "cancel", "--kill", str(lock))
    cluster.gnt("gnt-job", "cancel", "--kill", "--yes-do-it", str(lock))
    until(lambda: cluster.job_status(lock) in ("canceled", "error"), "it is ended")


def test_the_more_urgent_goes_first(cluster: Cluster, lock: int) -> None:
    names = ["low", "usual", "changed", "high"]
    priorities = {"low": "low", "usual": "normal", "changed": "low", "high": "high"}
    jobs = {
        name: cluster.submitted("gnt-debug", "delay", "-n", NODE, f"--priority={priorities[name]}", "0.01")
        for name in names
    }
    until(lambda: all(cluster.job_status(job) == "waiting" for job in jobs.values()), "all wait")
    cluster.gnt("gnt-job", "change-priority", "--priority=high", str(jobs["changed"]))
    cluster.run("gnt-job", "cancel", "--kill", "--yes-do-it", str(lock))
    for job in jobs.values():
        cluster.gnt("gnt-job", "wait", str(job))
    rows = cluster.json("gnt-job", "list", "-o", "id,opexec", *map(str, jobs.values()))
    order = [row["id"] for row in sorted(rows, key=lambda row: row["opexec"][0])]
    assert order == [jobs[name] for name in ("changed", "high", "usual", "low")]
    assert str(jobs["low"]) in cluster.refused("gnt-job", "change-priority", "--priority=low", str(jobs["low"]))


def test_the_archive(cluster: Cluster, lock: int) -> None:
    job = cluster.submitted("gnt-debug", "delay", "0")
    cluster.gnt("gnt-job", "wait", str(job))
    assert str(lock) in cluster.refused("gnt-job", "archive", str(lock)), "it has not ended"
    assert cluster.gnt("gnt-job", "archive", str(job)) == ""
    assert str(job) not in cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id").split()
    assert "Status: success" in cluster.gnt("gnt-job", "info", str(job)), "it can still be told of"
    others = [cluster.submitted("gnt-debug", "delay", "0") for _ in range(3)]
    for other in others:
        cluster.gnt("gnt-job", "wait", str(other))
    assert cluster.gnt("gnt-job", "autoarchive", "1h").startswith("Archived 0 jobs")
    cluster.gnt("gnt-job", "autoarchive", "all")
    assert cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id").split() == [str(lock)]


def test_waiting_jobs_survive_the_master(cluster: Cluster, lock: int) -> None:
    jobs = [cluster.submitted(*CREATE, f"i{number}.lab.example") for number in range(5)]
    watcher = Terminal(cluster, "gnt-job", "wait", str(jobs[-1]))
    with watcher:
        cluster.kill("ganeti-masterd")
        cluster.sh("ganeti-daemons start")
        cluster.run("gnt-job", "cancel", "--kill", "--yes-do-it", str(lock))
        for job in jobs:
            cluster.gnt("gnt-job", "wait", str(job))
        assert watcher.process.wait(timeout=60) == 0, "who waited goes on waiting"
    assert [cluster.job_status(job) for job in jobs] == ["success"] * 5
    assert len(cluster.names()) == 5
    cluster.remove(*cluster.names())


def test_many_at_once(cluster: Cluster) -> None:
    began = time.monotonic()
    script = " & ".join(f"gnt-instance add -t diskless -o quick --submit m{number}.lab.example" for number in range(30))
    cluster.sh(f"({script} & wait) >/dev/null")
    until(
        lambda: (
            cluster.gnt(
                "gnt-job",
                "list",
                "--no-headers",
                "-F",
                'status != "success" and status != "error" and status != "canceled"',
            )
            == ""
        ),
        "all have ended",
    )
    assert len(cluster.names()) == 30
    ports_and_macs = cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "nic.macs").split()
    assert len(set(ports_and_macs)) == 30
    cluster.gnt("gnt-instance", "remove", "--force", "m0.lab.example")
    assert time.monotonic() - began < 120

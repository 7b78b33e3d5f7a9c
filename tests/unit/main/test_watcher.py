"""A run of the watcher against a master from a script: one request for all, and memory between runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ganeti.base.clock import SystemClock
from ganeti.base.errors import GanetiError, Refused
from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.base.processes import SystemRunner
from ganeti.main import watcher
from ganeti.main.watcher import Round, run_hooks


class Cluster:
    """Instances and nodes from a script; every job succeeds at once unless its instance is in `fails`."""

    def __init__(self, **statuses: str) -> None:
        self.statuses = statuses
        self.nodes: dict[str, str | None] = {"node1": "boot-1"}
        self.requests: list[str] = []
        self.jobs: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.fails: set[str] = set()
        self.disks: list[Any] = [{}, [], {}]
        self.open: dict[int, str] = {}

    def watcher_paused_until_s(self) -> float | None:
        return None

    def autoarchive(self, age_s: int | None) -> tuple[int, int]:
        self.requests.append(f"autoarchive {age_s}")
        return 0, 0

    def values(self, what: str, fields: Sequence[str], **selection: Any) -> list[list[Any]]:
        self.requests.append(what)
        match what:
            case "node":
                return [[name, False, boot_id, "default", "g-1"] for name, boot_id in self.nodes.items()]
            case "instance":
                return [[name, status, "node1", "up", True, "default", "g-1"] for name, status in self.statuses.items()]
            case "group":
                return [["default", "g-1"], ["other", "g-2"]]
            case "job":
                return [[job, status] for job, status in self.open.items()]
        raise AssertionError(what)

    def submit(self, jobs: Sequence[Sequence[dict[str, Any]]]) -> list[int | GanetiError]:
        self.requests.append(f"submit {len(jobs)}")
        answers: list[int | GanetiError] = []
        for (op,) in jobs:
            if op.get("instance_name") in self.refused:
                answers.append(Refused("wrong_state", "no"))
                continue
            self.jobs.append(op)
            answers.append(len(self.jobs))
        return answers

    def news(self, job_id: int) -> Iterator[dict[str, Any]]:
        op = self.jobs[job_id - 1]
        yield {"status": "running", "op_result": [None]}
        if op.get("instance_name") in self.fails:
            yield {"status": "error", "op_result": [["OpExecError", ["it does not start"]]]}
        else:
            yield {"status": "success", "op_result": [self.disks if "group_name" in op else None]}

    def asked(self) -> list[tuple[str, str]]:
        """(operation, instance or group) of all jobs."""
        return [(op["OP_ID"], op.get("instance_name") or op["group_name"]) for op in self.jobs]


def run(cluster: Cluster, tmp_path: Path, **more: Any) -> None:
    """One run."""
    Round(
        cluster=cluster,
        files=SystemFiles(),
        clock=SystemClock(),
        memory_path=f"{tmp_path}/watcher.data",
        job_age_s=21600,
        **more,
    ).run()


def test_a_run_over_many_instances_asks_once_and_submits_once(tmp_path: Path) -> None:
    down = {f"web{number}": "ERROR_down" for number in range(600)}
    cluster = Cluster(**down, **{f"fine{number}": "running" for number in range(400)}, off="USER_down")
    run(cluster, tmp_path, verify_disks=False)
    assert cluster.requests == ["autoarchive 21600", "node", "instance", "submit 601"]
    assert len(cluster.jobs) == 601
    by_name = {op["instance_name"]: op for op in cluster.jobs}
    assert by_name["web599"]["OP_ID"] == "OP_INSTANCE_STARTUP"
    assert by_name["off"] | {"reason": None} == {
        "OP_ID": "OP_INSTANCE_SHUTDOWN",
        "instance_name": "off",
        "admin_state_source": "user",
        "reason": None,
    }
    assert by_name["off"]["reason"][0][0] == "gnt:watcher"


def test_tries_are_remembered_between_runs_until_it_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cluster = Cluster(web1="ERROR_down", web2="ERROR_down", web3="running")
    cluster.fails, cluster.refused = {"web1"}, {"web2"}
    for _ in range(7):
        run(cluster, tmp_path, verify_disks=False)
    assert cluster.asked() == [("OP_INSTANCE_STARTUP", "web1")] * 5  # those refused were no jobs, but tries
    said = [record.getMessage() for record in caplog.records]
    assert said.count("job failed") == said.count("job not accepted") == 5
    assert said.count("instance given up: it does not stay up") == 4


def test_a_job_of_an_earlier_run_that_still_waits_is_not_doubled(tmp_path: Path) -> None:
    cluster = Cluster(web1="ERROR_down")
    run(cluster, tmp_path, wait=False)
    cluster.open = {1: "waiting"}
    run(cluster, tmp_path, wait=False)
    assert len(cluster.jobs) == 1
    cluster.open = {1: "error"}
    run(cluster, tmp_path, wait=False)
    assert len(cluster.jobs) == 2


def test_disks_that_are_not_there_are_activated_but_not_those_of_instances_just_started(tmp_path: Path) -> None:
    cluster = Cluster(web1="ERROR_down", web2="ADMIN_down")
    cluster.disks = [{"node9": "silent"}, ["web1", "web2"], {"web3": [["node1", "/a"]]}]
    run(cluster, tmp_path, group="g-1")
    assert cluster.asked() == [
        ("OP_INSTANCE_STARTUP", "web1"),
        ("OP_GROUP_VERIFY_DISKS", "default"),
        ("OP_INSTANCE_ACTIVATE_DISKS", "web2"),
    ]


def test_another_group_is_left_alone(tmp_path: Path) -> None:
    cluster = Cluster(web1="ERROR_down")
    run(cluster, tmp_path, group="g-2", verify_disks=False)
    assert cluster.jobs == []


def test_memory_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "watcher.data").write_text("{")
    cluster = Cluster(web1="ERROR_down")
    run(cluster, tmp_path, verify_disks=False)
    assert len(cluster.jobs) == 1


async def test_hooks_of_the_watcher_run_with_their_environment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(str(tmp_path))
    directory = Path(paths.etc, "hooks/watcher")
    directory.mkdir(parents=True)
    good, bad = directory / "10-good", directory / "20-bad"
    good.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\n")
    bad.write_text("#!/bin/sh\necho broken; exit 1\n")
    for script in (good, bad):
        script.chmod(0o755)
    Path(paths.data).mkdir(parents=True)
    Path(paths.node_settings).write_text('{"cluster_name": "cluster", "master_name": "node1"}')
    await run_hooks(SystemRunner(), SystemFiles(), SystemClock(), paths)
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["GANETI_HOOKS_PATH"] == "watcher"
    assert seen["GANETI_DATA_DIR"] == paths.data
    assert seen["PATH"] == "/sbin:/bin:/usr/sbin:/usr/bin"
    (failed,) = [record for record in caplog.records if record.getMessage() == "hook failed"]
    assert failed.fields == {"script": "watcher/20-bad", "output": "broken"}  # type: ignore[attr-defined]


def test_on_a_host_without_a_cluster_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANETI_ROOTDIR", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert watcher.main([]) == 12
    assert "in no cluster" in capsys.readouterr().err
    assert watcher.main(["--job-age", "soon"]) == 1
    assert watcher.main(["--nonsense"]) == 1

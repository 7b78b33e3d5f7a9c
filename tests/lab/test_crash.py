"""Daemons that are killed at any moment: every accepted job has an end, and hosts and store agree afterwards.

A failure names its seed; `GANETI_CRASH_SEEDS=7,8` runs those only.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.lab.cluster import (
    BIN,
    STORAGE,
    Cluster,
    fake_cluster,
    kvm_cluster,
    needs_qemu,
    needs_root,
    until,
    write_os,
)
from tests.lab.machine import can_have_cgroups

pytestmark = [pytest.mark.lab, needs_root]

MASTER, NODED = "ganeti-masterd", "ganeti-noded"
VICTIMS = {"master": (MASTER,), "node": (NODED,), "both": (MASTER, NODED)}
ACCEPTED = "/root/accepted"
ENDED = ("success", "error", "canceled")
SLOW_SCRIPT = """#!/bin/sh
dd if=/dev/zero of="$DISK_0_PATH" bs=1M count=1 conv=notrunc 2>/dev/null
sleep 0.3
"""


def seeds(count: int) -> list[int]:
    """The usual ones, or those that were asked for."""
    asked = os.environ.get("GANETI_CRASH_SEEDS", "")
    return [int(seed) for seed in asked.split(",")] if asked else list(range(1, count + 1))


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with fake_cluster(tmp_path_factory.mktemp("crash")) as made:
        write_os(made, "slow", create=SLOW_SCRIPT)
        yield made


@pytest.fixture(scope="module")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with kvm_cluster(tmp_path_factory.mktemp("crash"), cgroups=can_have_cgroups()) as made:
        yield made


class Requests:
    """Commands that all run at once; those whose job was accepted say so by its number."""

    def __init__(self, cluster: Cluster, commands: list[str]) -> None:
        self._asked = commands
        self._accepted = cluster.path(ACCEPTED)
        self._accepted.write_text("")
        script = "\n".join(f"{{ {command} --submit | sed 's/^/{at} /'; }} &" for at, command in enumerate(commands))
        self._process = subprocess.Popen(
            cluster.machine.inside(["bash", "-c", f"PATH={BIN}:$PATH\n{{ {script}\nwait; }} >>{ACCEPTED}"]),
            env={"PATH": os.environ["PATH"], "HOME": "/root"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_for_first(self) -> None:
        """Until one is accepted."""
        until(lambda: self._accepted.exists() and self._accepted.stat().st_size > 0, "a job is accepted")

    def accepted(self) -> dict[str, int]:
        """Command to job number, of those that were told one; waits for all."""
        self._process.wait(timeout=300)
        jobs: dict[str, int] = {}
        for line in self._accepted.read_text().splitlines():
            at, *words = line.replace(":", " ").split()
            jobs.update({self._asked[int(at)]: int(word) for word in words if word.isdigit()})
        return jobs


def crash(cluster: Cluster, victims: tuple[str, ...], commands: list[str], after_s: float) -> dict[str, int]:
    """Hand in requests, kill daemons a while after the first was accepted, start them again; the jobs that were accepted, all ended."""
    requests = Requests(cluster, commands)
    requests.wait_for_first()
    time.sleep(after_s)  # this is the moment under test, not a wait for something
    cluster.kill(*victims)
    cluster.sh("ganeti-daemons start")
    jobs = requests.accepted()
    for command, job in jobs.items():
        until(lambda job=job: cluster.job_status(job) in ENDED, f"job {job} ({command}) has an end")  # type: ignore[misc]
    until(
        lambda: not {row["status"] for row in cluster.json("gnt-job", "list", "-o", "status")} - set(ENDED),
        "also those that nobody was told of have",
    )
    return jobs


def check(cluster: Cluster, jobs: dict[str, int]) -> None:
    """What the store says, what the host has, and what each job said are the same."""
    cluster.gnt("gnt-cluster", "verify")
    rows = cluster.json("gnt-instance", "list", "-o", "name,admin_state,status,disk.uuids,hypervisor")
    there = {row["name"]: row for row in rows}
    for command, job in jobs.items():
        words = command.split()
        if words[1] == "add":
            assert (cluster.job_status(job) == "success") == (words[-1] in there), f"job {job}: {command}"
        elif words[1] == "remove" and cluster.job_status(job) == "success":
            assert words[-1] not in there, f"job {job}: {command}"
    for row in rows:
        assert row["status"] == {"up": "running", "down": "ADMIN_down"}[row["admin_state"]], row
    files = [PurePosixPath(path) for path in cluster.sh(f"find {STORAGE} -mindepth 1 -not -type d").split()]
    have = {(path.parent.name, path.name.partition(".")[0]) for path in files}
    assert have == {(row["name"], uuid) for row in rows for uuid in row["disk.uuids"]}
    assert set(cluster.sh(f"find {STORAGE} -mindepth 1 -type d -printf '%f\\n'").split()) == {
        row["name"] for row in rows if row["disk.uuids"]
    }
    running = {row["name"] for row in rows if row["admin_state"] == "up"}
    links = cluster.sh("find /run/ganeti/instance-disks -mindepth 1 -printf '%f\\n' 2>/dev/null || true").split()
    assert {link.partition(":")[0] for link in links} <= running
    check_guests(cluster, {name for name in running if there[name]["hypervisor"] == "kvm"})
    fakes = cluster.sh("find /run/ganeti/fake-hypervisor -type f -printf '%f\\n' 2>/dev/null || true").split()
    assert set(fakes) == {name for name in running if there[name]["hypervisor"] == "fake"}
    assert "/srv/ganeti/os" not in cluster.machine.run(["ps", "-eo", "args"]).stdout, "an OS script still runs"
    assert "exclusive" not in cluster.gnt("gnt-debug", "locks")


def check_guests(cluster: Cluster, running: set[str]) -> None:
    """Processes, taps, groups and run files of QEMU belong to instances that shall run."""
    assert len(cluster.qemu_pids()) == len(running)
    taps = cluster.sh("bridge link show").splitlines()
    assert len(taps) == len(running)
    left = cluster.sh("find /run/ganeti/kvm-hypervisor -mindepth 2 -printf '%f\\n' 2>/dev/null || true").split()
    strangers = [name for name in left if not any(name == each or name.startswith(f"{each}.") for each in running)]
    assert [name for name in strangers if not name.isdigit()] == []
    if can_have_cgroups():
        groups = cluster.sh("find /sys/fs/cgroup -path '*/ganeti/*' -type d -printf '%f\\n'").split()
        assert {group.partition("-")[2] for group in groups} == running


def commands_of(rng: random.Random, cluster: Cluster, seed: int) -> list[str]:
    """Some creations, and removals, stops and starts of what is there."""
    commands = [
        f"gnt-instance add -t file -s 1G -o {rng.choice(('quick', 'slow', 'slow'))} s{seed}i{number}.lab.example"
        for number in range(rng.randint(2, 5))
    ]
    for name in cluster.names():
        deed = rng.choice(("remove --force", "remove --force", "shutdown", "startup", "reboot", None))
        if deed is not None:
            commands.append(f"gnt-instance {deed} {name}")
    rng.shuffle(commands)
    return commands


@pytest.mark.parametrize("who", VICTIMS)
@pytest.mark.parametrize("seed", seeds(6))
def test_daemons_killed_at_random(fake: Cluster, who: str, seed: int) -> None:
    rng = random.Random(f"{who} {seed}")
    number = 100 * list(VICTIMS).index(who) + seed
    after_s = rng.uniform(0.0, 0.4)
    jobs = crash(fake, VICTIMS[who], commands_of(rng, fake, number), after_s)
    print(f"{who} {seed} killed after {after_s:.2f} s:", {job: fake.job_status(job) for job in jobs.values()})
    check(fake, jobs)


def test_a_script_does_not_outlive_its_node_daemon(fake: Cluster) -> None:
    write_os(fake, "long", create="#!/bin/sh\nsleep 4711\n")
    job = fake.submitted("gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "long", "long.lab.example")
    until(lambda: sleepers(fake, "4711") != [], "the script runs")
    first = sleepers(fake, "4711")
    fake.kill(NODED)
    fake.sh("ganeti-daemons start")
    assert set(sleepers(fake, "4711")).isdisjoint(first), "two scripts would write to one disk"
    # The master asked again, or gave up: that depends on how fast the daemon was back.
    fake.run("gnt-job", "cancel", "--kill", "--yes-do-it", str(job))
    until(lambda: fake.job_status(job) in ENDED, "the job has an end")
    until(lambda: sleepers(fake, "4711") == [], "the script is ended")
    check(fake, {})


def test_a_script_does_not_outlive_the_job_of_a_master_that_died(fake: Cluster) -> None:
    write_os(fake, "longer", create="#!/bin/sh\nsleep 4712\n")
    job = fake.submitted("gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "longer", "longer.lab.example")
    until(lambda: sleepers(fake, "4712") != [], "the script runs")
    fake.kill(MASTER)
    fake.sh("ganeti-daemons start")
    until(lambda: fake.job_status(job) in ENDED, "the job has an end")
    assert fake.job_status(job) == "error"
    assert "undone" in fake.gnt("gnt-job", "info", str(job))
    assert sleepers(fake, "4712") == []
    check(fake, {})


def sleepers(cluster: Cluster, duration: str) -> list[str]:
    """The processes that sleep for so long, by their numbers."""
    return cluster.machine.run(["pgrep", "--full", "--exact", f"sleep {duration}"]).stdout.split()


@pytest.mark.qemu
@needs_qemu
@pytest.mark.parametrize("who", VICTIMS)
@pytest.mark.parametrize("seed", seeds(2))
def test_daemons_killed_while_real_guests_come_and_go(kvm: Cluster, who: str, seed: int) -> None:
    rng = random.Random(f"{who} {seed}")
    name = f"{who}{seed}.lab.example"
    commands = [f"gnt-instance add -t file -s 1G -o tiny {name}"]
    commands += [f"gnt-instance remove --force --shutdown-timeout=0 {each}" for each in kvm.names()]
    after_s = rng.uniform(0.0, 0.5)
    jobs = crash(kvm, VICTIMS[who], commands, after_s)
    print(f"{who} {seed} killed after {after_s:.2f} s:", {job: kvm.job_status(job) for job in jobs.values()})
    check(kvm, jobs)

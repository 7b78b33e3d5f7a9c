"""How fast instances are made: many diskless ones at once, and one with a disk in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from bench.cluster import closing, wait_for
from bench.harness import Report, Sample, at_least, interleaved, rate, timed
from bench.limits import bare_fsync, ran
from bench.world import World

COUNT = 200
DISK_MIB = 1024


def measure(world: World, report: Report) -> None:
    """Each is made and started, on the fake hypervisor."""
    cluster = world.cluster(0, use="creations")
    with closing(cluster.client()) as client:
        wait_for([cluster.creation()], client)

        def create_all() -> None:
            jobs = client.submit([[cluster.creation()] for _ in range(COUNT)])
            for job in jobs:
                if not isinstance(job, int):
                    raise job
                news = client.follow(job, lambda *_: None)
                if news["status"] != "success":
                    raise RuntimeError(f"a creation ended as {news['status']}: {news['op_result']}")

        fsyncs = rate(COUNT, Sample((timed(bare_fsync(world.directory, times=COUNT)),)))
        created = rate(COUNT, Sample((timed(create_all),)))
        report.add(
            f"creation of {COUNT} diskless instances",
            created,
            limit=("write + fsync", fsyncs),
            goal=at_least(created, 20),
        )

        path = f"{world.directory}/disk"
        disk = {"disk_template": "file", "disks": [{"size": DISK_MIB}]}
        dd = ["dd", "if=/dev/null", f"of={path}", "bs=1M", f"seek={DISK_MIB}", "conv=fsync", "status=none"]
        times = interleaved(
            {
                "dd": _anew(path, dd),
                "fallocate": _anew(path, ["fallocate", "--length", f"{DISK_MIB}MiB", path]),
                "file": lambda: wait_for([cluster.creation(start=False, **disk)], client),
                "diskless": lambda: wait_for([cluster.creation(start=False)], client),
            },
            rounds=9,
        )
    os.unlink(path)
    report.add("creation of one instance, diskless", times["diskless"], limit=("dd, 1 GiB sparse", times["dd"]))
    report.add("creation of one instance, file disk of 1 GiB", times["file"], limit=("dd, 1 GiB sparse", times["dd"]))
    report.add("the same, against room that is taken", times["file"], limit=("fallocate, 1 GiB", times["fallocate"]))


def _anew(path: str, argv: Sequence[str]) -> Callable[[], object]:
    """A program that makes a file which was not there."""
    run = ran(argv)

    def make() -> None:
        if os.path.exists(path):
            os.unlink(path)
        run()

    return make

"""Start of a real guest: ours against QEMU alone with the very same words."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from bench.cluster import closing, wait_for
from bench.harness import Report, Sample, timed
from bench.world import World

ROUNDS = 5


def measure(world: World, report: Report) -> None:
    """A guest without disk and network: what is measured is the start, not what it boots."""
    cluster = world.cluster(0, use="guests", hypervisor="kvm")
    times: dict[str, list[float]] = {"ours": [], "qemu": []}
    with closing(cluster.client()) as client:
        hvparams = {"kernel_path": "", "accelerator": "tcg"}
        operation = cluster.creation(hvparams=hvparams, beparams={"minmem": 128, "maxmem": 128}, nics=[], start=False)
        wait_for([operation], client)
        name = operation["instance_name"]
        start = {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name}
        stop = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": name, "timeout": 0}
        for _ in range(ROUNDS):
            times["ours"].append(timed(lambda: wait_for([start], client)))
            pid = _qemu()
            argv = _words(pid)
            wait_for([stop], client)
            times["qemu"].append(timed(_started(argv)))
            _end(_qemu())
    alone = Sample(tuple(times["qemu"]))
    report.add("start of a QEMU guest", Sample(tuple(times["ours"])), limit=("QEMU alone, same words", alone))


def _started(argv: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _qemu() -> int:
    """The one guest of this world of processes."""
    found = [
        int(pid) for pid in os.listdir("/proc") if pid.isdigit() and "qemu-system" in " ".join(_words(int(pid))[:1])
    ]
    [pid] = found
    return pid


def _words(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended while we looked


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    limit_s = time.monotonic() + 30
    while _words(pid):
        if time.monotonic() > limit_s:
            raise RuntimeError(f"QEMU {pid} does not end")
        time.sleep(0.005)

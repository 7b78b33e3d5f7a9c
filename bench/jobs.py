"""Trivial jobs (`OP_TEST_DELAY` of 0 s on the master): how long one takes, how many a second, and all at one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bench.cluster import BIN, Cluster, closing, final_status, wait_for
from bench.harness import Goal, Report, Sample, at_least, at_most, interleaved, rate
from bench.limits import bare_fsync, bare_python, ran
from bench.world import World

TRIVIAL: Final[dict[str, Any]] = {"OP_ID": "OP_TEST_DELAY", "duration": 0}
AT_ONCE: Final = (1, 20, 200)
JOBS: Final = 200
SAME_OBJECT: Final = 200


def measure(world: World, report: Report) -> None:
    """Latency, throughput, and jobs that contend."""
    _latency(world, report)
    _throughput(world, report)
    _same_object(world, report)


def _latency(world: World, report: Report) -> None:
    small, large = world.cluster(10), world.cluster(10_000)
    with closing(small.client()) as to_small, closing(large.client()) as to_large:
        times = interleaved(
            {
                "fsync": bare_fsync(world.directory),
                "small": lambda: wait_for([TRIVIAL], to_small),
                "large": lambda: wait_for([TRIVIAL], to_large),
            },
            rounds=101,
        )
    limit = ("write + fsync", times["fsync"])
    report.add("trivial job, 10 instances", times["small"], limit=limit, goal=at_most(times["small"], 0.030))
    report.add("trivial job, 10,000 instances", times["large"], limit=limit, goal=at_most(times["large"], 0.030))

    commands = interleaved(
        {"python": bare_python(), "delay": ran([f"{BIN}/gnt-debug", "delay", "0"], small.environment)}, rounds=21
    )
    delay = commands["delay"]
    limit = ("python -c pass", commands["python"])
    report.add("gnt-debug delay 0, whole command", delay, limit=limit, goal=at_most(delay, 0.030))


def _throughput(world: World, report: Report) -> None:
    cluster = world.cluster(10)
    deeds: dict[str, Callable[[], object]] = {"fsync": bare_fsync(world.directory, times=JOBS)}
    deeds |= {str(clients): _jobs_by(clients, cluster) for clients in AT_ONCE}
    times = interleaved(deeds, rounds=5)
    limit = ("write + fsync", rate(JOBS, times["fsync"]))
    for clients in AT_ONCE:
        rates = rate(JOBS, times[str(clients)])
        report.add(f"trivial jobs, {clients} at once", rates, limit=limit, goal=at_least(rates, 300))


def _jobs_by(clients: int, cluster: Cluster) -> Callable[[], object]:
    """`JOBS` jobs by so many clients, each of which waits for one before it hands in the next."""

    def one_client(_: int) -> None:
        with closing(cluster.client()) as client:
            for _ in range(JOBS // clients):
                wait_for([TRIVIAL], client)

    return lambda: _all_at_once(one_client, clients)


def _same_object(world: World, report: Report) -> None:
    cluster = world.cluster(1_000)
    [name, *_] = _names(cluster)

    def tag(number: int) -> str:
        operation = {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": name, "tags": [f"tag{number}"]}
        with closing(cluster.client()) as client:
            return final_status([operation], client)

    ended = _all_at_once(tag, SAME_OBJECT)
    good = Sample((float(ended.count("success")),), "jobs")
    report.add(
        f"{SAME_OBJECT} tag jobs at once, one instance: succeeded",
        good,
        goal=Goal("all", good.median == SAME_OBJECT),
    )


def _names(cluster: Cluster) -> list[str]:
    with closing(cluster.client()) as client:
        return [name for [name] in client.values("instance", ["name"])]


def _all_at_once(deed: Callable[[int], Any], count: int) -> Sequence[Any]:
    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(deed, range(count)))

"""One change of the configuration (a job that tags an instance), in a small and in a large cluster."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from bench.cluster import Cluster, closing, wait_for
from bench.harness import Report, interleaved, within
from bench.world import World

ROUNDS = 101
NOISE = 1.25


def measure(world: World, report: Report) -> None:
    """In turns on a small and a large cluster."""
    times = interleaved(
        {"small": _tag_job(world.cluster(10)), "large": _tag_job(world.cluster(10_000))},
        rounds=ROUNDS,
    )
    report.add("tag job, 10 instances", times["small"])
    report.add(
        "tag job, 10,000 instances",
        times["large"],
        limit=("10 instances", times["small"]),
        goal=within(times["large"], times["small"], NOISE),
    )


def _tag_job(cluster: Cluster) -> Callable[[], object]:
    client = cluster.client()
    with closing(client):
        [name, *_] = [name for [name] in client.values("instance", ["name"])]
    turns = count()

    def change() -> None:
        deed = "OP_TAGS_SET" if next(turns) % 2 == 0 else "OP_TAGS_DEL"
        wait_for([{"OP_ID": deed, "kind": "instance", "name": name, "tags": ["measured"]}], client)

    return change

"""A world for measuring: network, mounts and processes of its own, and a directory on the real disk for clusters.

Nothing of it is seen outside. It ends with its first process, which is the one that measures, and takes every
daemon and guest along however it ends; the directory is removed by the process outside.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

from bench.cluster import Cluster

NET: Final = "198.51.100"  # for documentation and examples (RFC 5737): nobody's real network
BRIDGE: Final = "gnt-bench0"
HOSTS_PER_NET: Final = 120
INSIDE: Final = "GANETI_BENCH_DIRECTORY"


def enter(arguments: Sequence[str]) -> int:
    """Run `python -m bench ARGUMENTS` in a world of its own and return its exit status."""
    with tempfile.TemporaryDirectory(prefix="ganeti-bench-", ignore_cleanup_errors=True) as directory:
        inside = subprocess.Popen(
            [
                *["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"],
                *["--propagation", "private", sys.executable, "-m", "bench", *arguments],
            ],
            env={**os.environ, INSIDE: directory},
        )
        # Ctrl-C reaches the one inside as well: it decides, and this one waits to clean up after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: inside.kill())
        return inside.wait()


class World:
    """The world from inside. Clusters are made when they are asked for, and go with the world."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._clusters: dict[tuple[str, int], Cluster] = {}
        _run("mount", "-t", "sysfs", "sysfs", "/sys")
        # Control groups are not divided between worlds: without them a guest is not limited, which is fine here.
        _run("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
        if os.path.exists("/dev/kvm"):
            _run("mount", "--bind", "/dev/null", "/dev/kvm")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
        _run("ip", "link", "set", BRIDGE, "up")
        self._hosts = f"{directory}/hosts"
        with open(self._hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n")
        _run("mount", "--bind", self._hosts, "/etc/hosts")

    def cluster(self, instances: int, *, use: str = "", hypervisor: str = "fake") -> Cluster:
        """A cluster of one node with that many running instances. One `use` does not get the other's cluster."""
        key = (use, instances)
        if key not in self._clusters:
            print(f"  (making a cluster with {instances} instances)", file=sys.stderr, flush=True)
            number = len(self._clusters) + 1
            node, address = (f"node{number}.bench.example", f"{NET}.{number}")
            name, master = (f"cluster{number}.bench.example", f"{NET}.{number + HOSTS_PER_NET}")
            _run("ip", "address", "add", f"{address}/24", "dev", BRIDGE)
            with open(self._hosts, "a", encoding="ascii") as file:
                file.write(f"{address} {node}\n{master} {name}\n")
            cluster = Cluster(f"{self.directory}/{number}", name=name, node=node)
            cluster.make(bridge=BRIDGE, hypervisor=hypervisor)
            if instances:
                cluster.fill(instances)
            self._clusters[key] = cluster
        return self._clusters[key]


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)

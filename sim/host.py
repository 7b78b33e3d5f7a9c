"""A simulated host: its disk and guests outlive its node daemon, which can be killed and started again."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Final

from ganeti.base.clock import Clock
from ganeti.base.paths import Paths
from ganeti.contract.hypervisor import Hypervisor
from ganeti.contract.network import Network
from ganeti.contract.settings import NodeSettings
from ganeti.contract.storage import Storage
from ganeti.drivers.hypervisor import fake
from ganeti.drivers.network.fake import FakeNetwork, FakeTaps
from ganeti.drivers.os.definitions import Definitions
from ganeti.drivers.storage import diskless, file
from ganeti.node.fence import Fence
from ganeti.node.host import Host
from ganeti.node.serve import NodeServer
from sim.files import MemoryFiles
from sim.life import Dead, Life, mortal
from sim.os import Scripts

DISKS: Final = "/srv/ganeti/file-storage"
BRIDGE: Final = "br0"
GUESTS: Final = "/run/ganeti/fake-hypervisor"
LINKS: Final = "/run/ganeti/instance-disks"


class SimHost:
    """One machine. What is looked at from outside is read off its disk, not asked of its daemon."""

    def __init__(
        self, settings: NodeSettings, *, rng: random.Random, clock: Clock, capacity_mib: int, memory_mib: int
    ) -> None:
        self.name = settings.node_name
        self.files = MemoryFiles(capacity_bytes=capacity_mib << 20)
        self.paths = Paths()
        self.slowest_s = 0.05
        """What each step of a driver takes at most."""
        for directory in (self.paths.data, self.paths.run, self.paths.log, DISKS):
            self.files.make_dirs(directory)
        self.scripts = Scripts(self.files, rng)
        self.boots = 1
        self.daemon: Life | None = None
        self._settings = settings
        self._rng = rng
        self._clock = clock
        self._memory_mib = memory_mib
        self._taps = FakeTaps()
        self._server: NodeServer | None = None

    @property
    def is_up(self) -> bool:
        """Whether its node daemon runs."""
        return self.daemon is not None

    def start(self) -> None:
        """Start the node daemon."""
        life = self.daemon = Life(f"noded of {self.name}")
        files, clock, paths, pace = mortal(self.files, life), self._clock, self.paths, self._pace
        hypervisor: Hypervisor = fake.Driver(
            files=files, clock=clock, paths=paths, memory_total_mib=self._memory_mib, cpu_total=16
        )
        storages: dict[str, Storage] = {
            "file": mortal(file.Driver(files=files, allowed_dirs=lambda: [DISKS]), life, pace),
            "diskless": diskless.Driver(),
        }
        taps = mortal(self._taps, life)
        network: Network = FakeNetwork(self._taps, links=[BRIDGE])
        host = Host(
            name=self.name,
            version="sim",
            boot_id=f"{self.name}-boot-{self.boots}",
            paths=paths,
            files=files,
            clock=clock,
            runner=self.scripts.runner,
            hypervisors={fake.NAME: mortal(hypervisor, life, pace)},
            storages=storages,
            networks={"bridged": mortal(network, life)},
            taps=taps,
            os=Definitions(
                runner=mortal(self.scripts.runner, life),
                files=files,
                clock=clock,
                search_path=paths.os_search_path,
                log_dir=f"{paths.log}/os",
            ),
            fence=Fence(files=files, path=paths.epoch),
        )
        self._server = NodeServer(host, settings=self._settings)

    def crash(self) -> None:
        """The node daemon is killed. Guests go on."""
        if self.daemon is not None:
            self.daemon.dead = True
        self.daemon, self._server = None, None

    def lose_power(self) -> list[str]:
        """The whole machine stops; returns the names of the guests that ran and do not any more."""
        ran = sorted(self.guests())
        self.crash()
        self.files.lose_power()
        self._taps.there.clear()
        self.boots += 1
        return ran

    async def serve(self, envelope: bytes, caller: str) -> bytes:
        """Answer a call, for as long as the daemon lives that got it."""
        server = self._server
        if server is None:
            raise asyncio.CancelledError
        try:
            return await server.serve(envelope, caller)
        except Dead:
            raise asyncio.CancelledError from None

    # -- what is there, seen from outside -------------------------------------------------------------

    def guests(self) -> dict[str, str]:
        """Name and UUID of every guest that runs."""
        found = {}
        for name in self.files.list_dir(GUESTS):
            state = json.loads(self.files.read(f"{GUESTS}/{name}"))["state"]
            if state["status"] in ("running", "paused"):
                found[str(name)] = str(state["uuid"])
        return found

    def disks(self) -> dict[str, int]:
        """Path and size in MiB of every file below the directory of disks."""
        paths = (path for path in self.files.everything(DISKS) if self.files.kind(path) == "file")
        return {path: self.files.size_bytes(path) >> 20 for path in paths}

    def leftovers(self) -> list[str]:
        """Everything a guest or disk can leave behind: paths of directories of disks, of links, of guests' state."""
        directories = (path for path in self.files.everything(DISKS) if self.files.kind(path) == "directory")
        return sorted([*directories, *self.files.everything(LINKS), *self.files.everything(GUESTS)])

    def epoch(self) -> int:
        """The newest epoch it obeyed."""
        return int(self.files.read(self.paths.epoch)) if self.files.exists(self.paths.epoch) else 0

    async def _pace(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, self.slowest_s))

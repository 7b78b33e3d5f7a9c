"""What goes wrong in a simulated cluster, and when: processes die, messages get lost, disks fill up, scripts hang."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ganeti.store.memory import Fault, LostAnswer, Refusal, Rival, Stall
from ganeti.wire.memory import Faults as WireFaults
from sim.host import SimHost
from sim.os import Odds
from sim.world import World

RESTART_WITHIN_S: Final = 20.0
"""How long what died stays down, at most."""
NO_WIRE_FAULTS: Final = WireFaults(delay_s=0.0005)
GOOD_SCRIPTS: Final = Odds()


@dataclass(frozen=True, kw_only=True)
class Climate:
    """How bad a world is. `every_s` is the mean time between two accidents; the rest are probabilities."""

    every_s: float = 15.0
    wire: WireFaults = NO_WIRE_FAULTS
    store: tuple[tuple[Fault, float], ...] = ()
    scripts: Odds = GOOD_SCRIPTS


MILD: Final = Climate(every_s=30.0)
ROUGH: Final = Climate(
    every_s=12.0,
    wire=WireFaults(call_lost=0.02, answer_lost=0.02, doubled=0.02, late=0.05, late_s=8.0, silent=0.3, delay_s=0.0005),
    store=(
        (LostAnswer(done=True), 0.02),
        (LostAnswer(done=False), 0.02),
        (Refusal(), 0.02),
        (Stall(seconds=5.0), 0.01),
    ),
    scripts=Odds(fails=0.1, hangs=0.02, takes_s=(0.5, 20.0)),
)

WILD: Final = Climate(
    every_s=3.0,
    wire=WireFaults(call_lost=0.05, answer_lost=0.05, doubled=0.1, late=0.2, late_s=400.0, silent=0.5, delay_s=0.0005),
    store=(
        (LostAnswer(done=True), 0.05),
        (LostAnswer(done=False), 0.05),
        (Rival(), 0.001),
        (Stall(seconds=50.0), 0.01),
    ),
    scripts=Odds(fails=0.2, hangs=0.1, takes_s=(0.5, 200.0)),
)
CLIMATES: Final = (MILD, ROUGH, WILD)


class Storm:
    """Accidents at random times, until it is told to end."""

    def __init__(self, world: World, rng: random.Random, climate: Climate) -> None:
        self._world = world
        self._rng = rng
        self._every_s = climate.every_s
        world.network.faults = climate.wire
        world.store_faults.odds = dict(climate.store)
        world.has_rivals = any(isinstance(fault, Rival) for fault, _ in climate.store)
        for host in world.hosts.values():
            host.scripts.odds = climate.scripts

    async def rage(self) -> None:
        """One accident after another, without an end."""
        accidents: list[tuple[int, Callable[[], Coroutine[Any, Any, None]]]] = [
            (6, self._kill_master),
            (2, self._stop_master),
            (2, self._supersede_master),
            (3, self._crash_daemon),
            (1, self._cut_power),
            (2, self._cut_wire),
            (1, self._store_down),
            (2, self._disk_error),
        ]
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._every_s))
            ((_, accident),) = self._rng.choices(accidents, [weight for weight, _ in accidents])
            await accident()

    async def _kill_master(self) -> None:
        """At a random moment, or at a random step soon."""
        process = self._world.process
        if process is None:
            return
        if self._rng.random() < 0.5:
            process.kill()
        else:
            process.kill_at = len(process.steps) + self._rng.randrange(30)
            await asyncio.sleep(self._rng.uniform(0, RESTART_WITHIN_S))
            process.kill()
        await self._restart_master()

    async def _stop_master(self) -> None:
        process = self._world.process
        if process is not None:
            process.stop()
            for _ in range(60):
                if process.ended:
                    break
                await asyncio.sleep(1.0)
            else:
                process.kill()  # as an init system does
        await self._restart_master()

    async def _supersede_master(self) -> None:
        """A second master takes over from a first that lives, and that goes on until it notices."""
        _ = await self._world.start_master()

    async def _restart_master(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, RESTART_WITHIN_S))
        _ = await self._world.start_master()

    async def _crash_daemon(self) -> None:
        host = self._host()
        self._world.crash_daemon(host)
        await self._restart_daemon(host)

    async def _cut_power(self) -> None:
        host = self._host()
        self._world.cut_power(host)
        await self._restart_daemon(host)

    async def _restart_daemon(self, host: SimHost) -> None:
        await asyncio.sleep(self._rng.uniform(0, RESTART_WITHIN_S))
        if not host.is_up:
            self._world.start_daemon(host)

    async def _cut_wire(self) -> None:
        host = self._host()
        self._world.note(f"the wire to {host.name} is cut")
        self._world.network.cut("master", host.name)
        await asyncio.sleep(self._rng.uniform(0, RESTART_WITHIN_S))
        self._world.network.mend("master", host.name)

    async def _store_down(self) -> None:
        self._world.note("the store is down")
        self._world.store_faults.down = True
        await asyncio.sleep(self._rng.uniform(0, RESTART_WITHIN_S))
        self._world.store_faults.down = False

    async def _disk_error(self) -> None:
        host = self._host()
        method = self._rng.choice(["allocate", "write", "rename", "make_dirs", "symlink"])
        self._world.note(f"the next {method} on {host.name} fails")
        host.files.fail_next(self._rng.choice([errno.ENOSPC, errno.EIO]), method=method)

    def _host(self) -> SimHost:
        return self._rng.choice(list(self._world.hosts.values()))

"""An OS definition on a simulated host, whose scripts do as told: work, fail, or hang."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from ganeti.base.files import Files
from sim.processes import HANGS, FakeRunner, Invocation, Outcome

NAME = "tiny"
_DIRECTORY = f"/usr/share/ganeti/os/{NAME}"


@dataclass(frozen=True, kw_only=True)
class Odds:
    """How a script goes: probabilities from 0 to 1, and what it takes when it works, in seconds."""

    fails: float = 0.0
    hangs: float = 0.0
    takes_s: tuple[float, float] = (0.5, 5.0)


class Scripts:
    """The scripts of one host. `installed` are the paths of disks on which the create script ran to its end."""

    def __init__(self, files: Files, rng: random.Random) -> None:
        self.odds = Odds()
        self.installed: dict[str, None] = {}
        self.runner = FakeRunner(files=files)
        self._files = files
        self._rng = rng
        files.make_dirs(_DIRECTORY)
        files.write(f"{_DIRECTORY}/ganeti_api_version", b"20\n")
        files.write(f"{_DIRECTORY}/parameters.list", b"")
        for script in ("create", "import", "export", "rename", "verify"):
            files.write(f"{_DIRECTORY}/{script}", b"#!/bin/sh\n", mode=0o755)
        self.runner.on(f"{_DIRECTORY}/verify", Outcome())
        self.runner.on(f"{_DIRECTORY}/create", self._create)
        self.runner.on(f"{_DIRECTORY}/rename", self._rename)

    async def _create(self, call: Invocation) -> Outcome:
        outcome = await self._goes()
        if outcome.status == 0 and outcome != HANGS:
            env = call.env or {}
            for index in range(int(env["DISK_COUNT"])):
                path = env[f"DISK_{index}_PATH"]
                if self._files.exists(path):
                    self.installed[path] = None
        return outcome

    async def _rename(self, call: Invocation) -> Outcome:
        return await self._goes()

    async def _goes(self) -> Outcome:
        point = self._rng.random()
        if point < self.odds.hangs:
            return HANGS
        await asyncio.sleep(self._rng.uniform(*self.odds.takes_s))
        if point < self.odds.hangs + self.odds.fails:
            return Outcome(status=1, stderr="mkfs: no space left on device\n")
        return Outcome()

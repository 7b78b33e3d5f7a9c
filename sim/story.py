"""A whole random story from one seed: a cluster, its users, its bad luck, and what is left of it in the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ganeti.base.tasks import Scope
from sim import loop
from sim.faults import CLIMATES, Climate, Storm
from sim.settle import settle
from sim.workload import User
from sim.world import world


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of a seed. `violations` is empty when all is well."""

    seed: int
    violations: list[str]
    trace: list[str]
    fingerprint: str

    def __str__(self) -> str:
        sentences = "\n".join(f"  {sentence}" for sentence in self.violations)
        return f"seed {self.seed}: {len(self.violations)} violations\n{sentences}\nto see it: python -m sim.replay {self.seed}"


def tell(seed: int, *, climate: Climate | None = None, **options: Any) -> Told:
    """Run the story of a seed. Its climate and size follow from the seed, unless told otherwise."""
    return loop.run(lambda: _story(seed, climate, options))


async def _story(seed: int, climate: Climate | None, options: dict[str, Any]) -> Told:
    async with world(seed, nodes=1 + seed % 3, **options) as made:
        rng = made.rng("story")
        _ = await made.at_work()
        users = [User(made, made.rng(f"user {number}"), names=8) for number in range(rng.randint(1, 4))]
        storm = Storm(made, made.rng("storm"), climate or CLIMATES[seed % len(CLIMATES)])
        async with Scope() as weather:
            _ = weather.start(storm.rage(), name="storm")
            async with asyncio.TaskGroup() as work:
                for user in users:
                    _ = work.create_task(user.work(rng.randint(10, 50)))
        await settle(made)
        return Told(seed=seed, violations=made.violations, trace=made.trace, fingerprint=made.fingerprint())

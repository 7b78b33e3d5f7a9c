"""What users do to a simulated cluster: random operations on a few names, side by side, some of them wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from ganeti.base.errors import GanetiError, Unavailable
from ganeti.contract.operation import REGISTRY
from ganeti.model.jobs import JobId
from sim.world import World

Op = dict[str, Any]

MACS: Final = ("aa:00:00:00:00:01", "aa:00:00:00:00:02")
"""Few, so that users collide."""
IPS: Final = ("198.51.100.1", "198.51.100.2")


class User:
    """One user, who submits jobs and now and then waits for one, cancels one or changes a priority."""

    def __init__(self, world: World, rng: random.Random, *, names: int) -> None:
        self._world = world
        self._rng = rng
        self._names = [f"web{number}.example.com" for number in range(names)]
        self._kinds = [(weight, make) for weight, op_id, make in self._all_kinds() if op_id in REGISTRY]

    async def work(self, actions: int) -> None:
        """Do so many things, with pauses."""
        for _ in range(actions):
            await asyncio.sleep(self._rng.expovariate(1 / 2.0))
            try:
                await self._act()
            except Unavailable as error:
                self._world.note(f"user met: {error.message}")
                await asyncio.sleep(1.0)
            except GanetiError as error:
                self._world.note(f"user was refused: {error.message}")

    async def _act(self) -> None:
        point = self._rng.random()
        if point < 0.75 or not self._world.accepted:
            ops = [self._op() for _ in range(1 if self._rng.random() < 0.85 else 2)]
            if self._world.accepted and self._rng.random() < 0.05:
                ops[0]["depends"] = [[self._some_job(), self._rng.choice([[], ["success"]])]]
            job = await self._world.submit(*ops)
            if self._rng.random() < 0.3:
                await self._wait(job)
        elif point < 0.9:
            job, kill = self._some_job(), self._rng.random() < 0.5
            done, said = await self._world.ask(lambda master: master.queue.cancel(job, kill=kill))
            self._world.note(f"cancel of {job} (kill: {kill}): {done} {said}")
        elif point < 0.97:
            job, priority = self._some_job(), self._rng.randint(-20, 19)
            done, said = await self._world.ask(lambda master: master.queue.change_priority(job, priority))
            self._world.note(f"priority of {job}: {done} {said}")
        else:
            archived, left = await self._world.ask(lambda master: master.queue.autoarchive(None))
            self._world.note(f"archived {archived}, left {left}")

    async def _wait(self, job: JobId) -> None:
        try:
            _ = await self._world.ended(job, within_s=self._rng.uniform(1, 120))
        except TimeoutError:
            self._world.note(f"user does not wait for {job} any more")

    def _some_job(self) -> JobId:
        recent = list(self._world.accepted)[-6:]
        return self._rng.choice(recent)

    def _op(self) -> Op:
        weights = [weight for weight, _ in self._kinds]
        ((_, make),) = self._rng.choices(self._kinds, weights)
        op = make()
        op["priority"] = self._rng.choice([0, 0, 0, 10, -10])
        return op

    def _all_kinds(self) -> list[tuple[int, str, Callable[[], Op]]]:
        on_one: list[tuple[int, str, Callable[[], Op]]] = [
            (weight, op_id, lambda op_id=op_id, more=more: self._on_instance(op_id, **more()))  # type: ignore[misc]
            for weight, op_id, more in (
                (4, "OP_INSTANCE_REMOVE", self._remove),
                (6, "OP_INSTANCE_STARTUP", dict),
                (6, "OP_INSTANCE_SHUTDOWN", self._shutdown),
                (3, "OP_INSTANCE_REBOOT", self._reboot),
                (3, "OP_INSTANCE_RENAME", self._rename),
                (2, "OP_INSTANCE_REINSTALL", dict),
                (2, "OP_INSTANCE_GROW_DISK", self._grow),
                (3, "OP_INSTANCE_SET_PARAMS", self._modify),
            )
        ]
        return [
            (16, "OP_INSTANCE_CREATE", self._create),
            *on_one,
            (3, "OP_TAGS_SET", self._tag),
            (3, "OP_TEST_DELAY", self._delay),
        ]

    def _name(self) -> str:
        """Mostly one that is there."""
        there = list(self._world.history.names)
        return self._rng.choice(there if there and self._rng.random() < 0.85 else self._names)

    def _on_instance(self, op_id: str, **more: Any) -> Op:
        return {"OP_ID": op_id, "instance_name": self._name(), **more}

    def _create(self) -> Op:
        rng = self._rng
        name = rng.choice(self._names)
        op: Op = {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": name, "start": rng.random() < 0.7, "os_type": "tiny"}
        nic: dict[str, Any] = {}
        if rng.random() < 0.3:
            nic["mac"] = rng.choice(MACS)
        if rng.random() < 0.3:
            nic["ip"] = rng.choice(IPS)
        op["nics"] = [nic]
        if rng.random() < 0.2:
            return op | {"disk_template": "diskless", "ignore_ipolicy": True}
        sizes = [rng.choice([1024, 2048, 8192]) for _ in range(rng.randint(1, 2))]
        op |= {"disk_template": "file", "disks": [{"size": size} for size in sizes]}
        if rng.random() < 0.1:
            op["dry_run"] = True
        if rng.random() < 0.2:
            op["pnode"] = rng.choice(list(self._world.hosts))
        return op

    def _remove(self) -> Op:
        return {"shutdown_timeout": self._rng.choice([0, 5, 120])}

    def _shutdown(self) -> Op:
        return {"timeout": self._rng.choice([0, 5, 120])}

    def _reboot(self) -> Op:
        return {"reboot_type": self._rng.choice(["soft", "hard", "full"])}

    def _rename(self) -> Op:
        return {"new_name": self._rng.choice(self._names)}

    def _grow(self) -> Op:
        return {"disk": 0, "amount": 512}

    def _modify(self) -> Op:
        return self._rng.choice(
            [
                {"beparams": {"maxmem": 256}},
                {"nics": [["add", -1, {"mac": self._rng.choice(MACS)}]]},
                {"disks": [["add", -1, {"size": 1024}]]},
                {"disks": [["remove", -1, {}]]},
            ]
        )

    def _tag(self) -> Op:
        tag = self._rng.choice(["red", "green", "blue"])
        if self._rng.random() < 0.5:
            return {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": [tag]}
        return {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": self._name(), "tags": [tag]}

    def _delay(self) -> Op:
        nodes = [name for name in self._world.hosts if self._rng.random() < 0.5]
        return {"OP_ID": "OP_TEST_DELAY", "duration": self._rng.uniform(0, 20), "on_nodes": nodes}

"""What must hold, looked at from outside: after every commit and every deed of a node, and when all has settled."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ganeti.contract.store import Change
from ganeti.master.master import Master
from ganeti.model.jobs import FINAL, Job, JobId
from ganeti.model.objects import Instance
from sim.host import DISKS, GUESTS, LINKS, SimHost

if TYPE_CHECKING:
    from sim.world import World

STOPPERS: Final = frozenset(
    {"OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REMOVE", "OP_INSTANCE_REBOOT", "OP_INSTANCE_STARTUP", "OP_INSTANCE_RENAME"}
)
"""Operations that may leave a guest down, and marked as it was, when they end without success: so they say."""


class History:
    """What happened so far, and the rules that no single event may break."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._epoch = 0
        self._node_epochs: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}
        self._instances: dict[str, Instance] = {}
        self.names: dict[str, None] = {}
        """The instances there must be according to the operations that ended with success, in their order."""
        self.excused: dict[str, None] = {}
        """Instances that may be down although marked up: their host lost power, or an operation failed half-way."""
        self.may_differ: dict[str, None] = {}
        """Instances a disk of which may be larger than stored: growing it ended without success."""

        self.half_removed: dict[str, None] = {}
        """Instances whose data may be gone in part: removing them ended without success, and has to be done again."""

    def excuse(self, *names: str) -> None:
        """These may be down from now on."""
        self.excused |= dict.fromkeys(names)

    def on_commit(self, change: Change) -> None:
        """The store has changed."""
        self._world.note(f"revision {change.revision}: {' '.join(_written(k, v) for k, v in change.values.items())}")
        for key, value in change.values.items():
            if key == "epoch":
                self._check_epoch(int(value or b"0"))
            elif key.startswith("job/"):
                self._follow_job(key, value)
            elif key.startswith("instance/"):
                if value is None:
                    self._instances.pop(key, None)
                else:
                    self._instances[key] = msgspec.json.decode(value, type=Instance)
        if any(key.startswith("instance/") for key in change.values):
            self._check_unique()

    def on_deed(self, host: SimHost) -> None:
        """A node has answered a call."""
        where = Counter(uuid for each in self._world.hosts.values() for uuid in each.guests().values())
        for uuid, count in where.items():
            if count > 1:
                self._violated(f"the guest {uuid} runs {count} times")
        epoch = host.epoch()
        if epoch < self._node_epochs[host.name]:
            self._violated(f"{host.name} went back from epoch {self._node_epochs[host.name]} to {epoch}")
        self._node_epochs[host.name] = epoch

    def _check_epoch(self, epoch: int) -> None:
        if epoch < self._epoch:
            self._violated(f"the epoch went back from {self._epoch} to {epoch}")
        self._epoch = epoch

    def _check_unique(self) -> None:
        instances = self._instances.values()
        for what, values in (
            ("name", [i.name for i in instances]),
            ("port", [i.network_port for i in instances if i.network_port is not None]),
            ("MAC address", [nic.mac for i in instances for nic in i.nics]),
            ("IP address", [(nic.network, nic.ip) for i in instances for nic in i.nics if nic.ip]),
            ("disk", [disk.logical_id for i in instances for disk in i.disks]),
        ):
            self._no_duplicates(what, values)

    def _no_duplicates(self, what: str, values: Iterable[object]) -> None:
        for value, count in Counter(values).items():
            if count > 1:
                self._violated(f"the {what} {value} was given {count} times")

    def _follow_job(self, key: str, value: bytes | None) -> None:
        before = self._jobs.get(key)
        if value is None:
            if before is not None and before.status not in FINAL:
                self._violated(f"{key} was dropped while {before.status}")
            return
        job = self._jobs[key] = msgspec.json.decode(value, type=Job)
        for index, op in enumerate(job.ops):
            old = before.ops[index].status if before is not None else "queued"
            if old in FINAL and op.status != old:
                self._violated(f"{key} ended with {old} and is now {op.status}")
            if op.status in FINAL and old not in FINAL:
                self._world.note(f"{key} operation {index} ends: {op.status} {op.result}")
                self._follow_op(op.input, ended_well=op.status == "success" and not op.input.get("dry_run"))

    def _follow_op(self, op: dict[str, Any], *, ended_well: bool) -> None:
        name = str(op.get("instance_name"))
        if not ended_well:
            if op["OP_ID"] in STOPPERS:
                self.excuse(name)
            if op["OP_ID"] == "OP_INSTANCE_REMOVE":
                self.half_removed[name] = None
            if op["OP_ID"] in ("OP_INSTANCE_GROW_DISK", "OP_INSTANCE_SET_PARAMS"):
                self.may_differ[name] = None
            return
        match op["OP_ID"]:
            case "OP_INSTANCE_CREATE":
                self.names[name] = None
            case "OP_INSTANCE_REMOVE":
                self.names.pop(name, None)
            case "OP_INSTANCE_RENAME":
                self.names.pop(name, None)
                self.names[op["new_name"]] = None
            case _:
                pass  # the others leave names as they are

    def _violated(self, sentence: str) -> None:
        self._world.violated(sentence)


def check_settled(world: World, master: Master) -> None:
    """When nothing goes on any more: jobs, journal, locks, reservations, and hosts against the store."""
    for sentence in [*_jobs(world), *_master(world, master), *_hosts(world)]:
        world.violated(sentence)
    names = {instance.name for instance in world.instances()}
    if names != set(world.history.names):
        world.violated(f"by what jobs said there are {sorted(world.history.names)}, the store has {sorted(names)}")


def _jobs(world: World) -> Iterable[str]:
    for number in world.accepted:
        job = world.job(number)
        if job is None:
            yield f"job {number} was accepted and is lost"
        elif job.status not in FINAL:
            yield f"job {number} never ended: {job.status}"
    for prefix in ("undo/", "debt/"):
        for key in world.keys(prefix):
            yield f"{key} is left in the store"


def _master(world: World, master: Master) -> Iterable[str]:
    if master.locks.holding() or master.locks.waiting() or master.locks.rows():
        yield f"locks are left: {master.locks.rows()}"
    if reserved := master.bench.view(0).reserved.by_job:
        yield f"reservations are left: {reserved}"
    if debts := {node: owed for node, owed in master.nodes.debts.items() if owed}:
        yield f"debts are left: {debts}"
    for tracked in master.queue.jobs.values():
        stored = world.job(JobId(tracked.job.id))
        if stored is None or stored.status != tracked.job.status:
            yield f"job {tracked.job.id} is {tracked.job.status} for the master and {stored} in the store"
    if {i.uuid: i for i in world.instances()} != dict(master.state.picture.instances):
        yield "the master's picture of the instances is not what the store holds"


def _hosts(world: World) -> Iterable[str]:
    for host in world.hosts.values():
        here = [instance for instance in world.instances() if world.host_of(instance) is host]
        up = {instance.name: str(instance.uuid) for instance in here if instance.admin_state == "up"}
        yield from _difference(f"guests on {host.name}", up, host.guests())
        disks = {disk.logical_id[1]: disk.size for instance in here for disk in instance.disks}
        may_differ = {d.logical_id[1] for i in here if i.name in world.history.may_differ for d in i.disks}
        found = {path: disks.get(path, mib) if path in may_differ else mib for path, mib in host.disks().items()}
        yield from _difference(f"disks on {host.name}", disks, found)
        expected = [f"{DISKS}/{instance.name}" for instance in here if instance.disks]
        expected += [f"{GUESTS}/{name}" for name in up]
        for instance in here:
            if instance.name in up:
                expected += [f"{LINKS}/{instance.name}:{index}" for index in range(len(instance.disks))]
        yield from _difference(
            f"directories, links and guests' files on {host.name}",
            dict.fromkeys(expected, ""),
            dict.fromkeys(host.leftovers(), ""),
        )
        installed = {path.rpartition("/")[2] for path in host.scripts.installed}
        for instance in here:
            if instance.disks and instance.os and instance.disks[0].logical_id[1].rpartition("/")[2] not in installed:
                yield f"instance {instance.name} was never installed"


def _difference(what: str, wanted: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    for key in sorted(wanted.keys() | found.keys()):
        if key not in found:
            yield f"{what}: {key} is missing"
        elif key not in wanted:
            yield f"{what}: {key} is an orphan"
        elif wanted[key] != found[key]:
            yield f"{what}: {key} is {found[key]}, not {wanted[key]}"


def _written(key: str, value: bytes | None) -> str:
    return f"-{key}" if value is None else f"{key}={_crc(value)}"


def _crc(value: bytes) -> str:
    return f"{zlib.crc32(value):08x}"

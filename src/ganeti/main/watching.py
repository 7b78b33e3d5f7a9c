"""What a run of the watcher decides: which instances to start, to clean up, whose disks to activate. Pure.

What it must remember between runs is `Memory`, a small JSON file (spec: cli, "ganeti-watcher").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

MOST_TRIES: Final = 5
"""How often an instance is started that does not stay up."""

FORGET_AFTER_S: Final = 8 * 3600.0
"""After the last try, when the instance gets its tries anew."""


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """How often an instance was started, when for the last time, and by which job."""

    count: int
    last_s: float
    job: int | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What one run leaves for the next: the last boot of each node, and the tries of each instance, by name."""

    boot_ids: dict[str, str] = {}
    tries: dict[str, Tries] = {}


class NodeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the query showed it. `boot_id` is None when it did not answer."""

    name: str
    offline: bool
    boot_id: str | None


class InstanceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as the query showed it (`status` as in `gnt-instance list`)."""

    name: str
    status: str
    node: str
    admin_up: bool
    disks_active: bool


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, by names, and what to remember if nothing of it were done."""

    start: tuple[str, ...] = ()
    clean_up: tuple[str, ...] = ()
    activate: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()
    rebooted: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    memory: Memory = Memory()


def decide(
    memory: Memory,
    nodes: Sequence[NodeSeen],
    instances: Sequence[InstanceSeen],
    *,
    now_s: float,
    open_jobs: Collection[int] = (),
) -> Decision:
    """Compare what is with what should be.

    After a reboot of its node an instance has all its tries again. One whose start of an earlier run has not ended
    (`open_jobs`) is left to that job; on a node that does not answer nothing is known, so nothing is done.
    """
    rebooted = {
        node.name
        for node in nodes
        if node.boot_id is not None and memory.boot_ids.get(node.name, node.boot_id) != node.boot_id
    }
    known = {node.name for node in nodes}
    boot_ids = {name: boot_id for name, boot_id in memory.boot_ids.items() if name in known}
    boot_ids |= {node.name: node.boot_id for node in nodes if node.boot_id is not None}
    tries: dict[str, Tries] = {}
    start, clean_up, activate, given_up, under_way = [], [], [], [], []
    for instance in instances:
        tried = memory.tries.get(instance.name)
        if tried is not None and (instance.node in rebooted or now_s - tried.last_s >= FORGET_AFTER_S):
            tried = None
        match instance.status:
            case "ERROR_down":
                if tried is not None:
                    tries[instance.name] = tried
                if tried is not None and tried.job in open_jobs:
                    under_way.append(instance.name)
                elif tried is not None and tried.count >= MOST_TRIES:
                    given_up.append(instance.name)
                else:
                    start.append(instance.name)
            case "USER_down" if instance.admin_up:
                clean_up.append(instance.name)
            case "ERROR_nodedown" | "ERROR_nodeoffline":
                if tried is not None:
                    tries[instance.name] = tried
            case "ADMIN_down" | "USER_down" if instance.node in rebooted and instance.disks_active:
                activate.append(instance.name)
            case _:
                pass  # it runs, or somebody has decided that it shall not
    return Decision(
        start=tuple(start),
        clean_up=tuple(clean_up),
        activate=tuple(activate),
        given_up=tuple(given_up),
        under_way=tuple(under_way),
        rebooted=tuple(sorted(rebooted)),
        silent=tuple(node.name for node in nodes if node.boot_id is None and not node.offline),
        memory=Memory(boot_ids=boot_ids, tries=tries),
    )


def tried(memory: Memory, jobs: dict[str, int | None], now_s: float) -> Memory:
    """The memory after these instances were tried to be started; None: the job was not even accepted."""
    tries = dict(memory.tries)
    for name, job in jobs.items():
        before = tries[name].count if name in tries else 0
        tries[name] = Tries(count=before + 1, last_s=now_s, job=job)
    return msgspec.structs.replace(memory, tries=tries)

"""The moves of an instance, and whether nodes can take it: for many instances and targets at once.

Source: spec htools, "Moves and their checks". A `Held` is what nodes hold as arrays that broadcast against each other:
one row per instance, one column per target; adding and removing make new ones, so the states in between are checked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from ganeti.placement.state import NOWHERE, Flags, Floats, Ints, State


class Kind(enum.Enum):
    """How an instance on (p, s) moves when t is a third node. In the order in which they are tried for one target."""

    FAILOVER = "f"
    """(s, p)"""
    REPLACE_SECONDARY = "r:{t}"
    """(p, t)"""
    REPLACE_AND_FAILOVER = "r:{t} f"
    """(t, p)"""
    REPLACE_PRIMARY = "f r:{t} f"
    """(t, s)"""
    FAILOVER_AND_REPLACE = "f r:{t}"
    """(s, t)"""
    FAILOVER_TO_ANY = "fa:{t}"
    """(t, none): shared storage"""


KINDS = tuple(Kind)


def result(kind: Kind, p: int, s: int, t: int) -> tuple[int, int]:
    """The new primary and secondary."""
    match kind:
        case Kind.FAILOVER:
            return s, p
        case Kind.REPLACE_SECONDARY:
            return p, t
        case Kind.REPLACE_AND_FAILOVER:
            return t, p
        case Kind.REPLACE_PRIMARY:
            return t, s
        case Kind.FAILOVER_AND_REPLACE:
            return s, t
        case Kind.FAILOVER_TO_ANY:
            return t, NOWHERE


@dataclass(frozen=True, kw_only=True)
class Held:
    """What nodes hold. `node` are their indices, for what does not change: sizes and limits."""

    node: Ints
    unallocated: Floats
    reserve: Floats
    failing: Flags
    cpus: Floats
    disk: Floats
    use: Floats
    spindles: Floats
    forth_memory: Floats
    forth_cpus: Floats
    forth_disk: Floats
    forth_use: Floats
    forth_spindles: Floats


class Checks:
    """Adds instances (rows) to nodes and takes them away, telling where that is not allowed."""

    def __init__(self, state: State, rows: Ints) -> None:
        s = self.state = state
        self.rows = rows
        self.used = s.used_memory_mib[rows][:, None]
        self.memory = s.memory_mib[rows][:, None]
        self.reserved = s.reserved_mib[rows][:, None]
        self.vcpus, self.forth_vcpus = s.vcpus[rows][:, None], s.forth_vcpus[rows][:, None]
        self.disk, self.forth_disk = s.disk_mib[rows][:, None], s.forth_disk_mib[rows][:, None]
        self.use, self.forth_use = s.spindle_use[rows][:, None], s.forth_spindle_use[rows][:, None]
        self.spindles = s.spindles[rows][:, None]
        self.unknown = s.spindles_unknown[rows][:, None]
        self.local = s.local[rows][:, None]
        self.real = ~s.forthcoming[rows][:, None]
        self.any_local = bool(self.local.any())
        self.any_exclusive = bool(s.exclusive.any())
        self.forth_differs = bool(
            s.forthcoming.any()
            or (s.used_memory_mib < s.memory_mib).any()
            or (s.forth_free_memory_mib < s.unallocated_mib).any()
        )

    def held(self, node: Ints) -> Held:
        """What these nodes hold now."""
        s = self.state
        return Held(
            node=node,
            unallocated=s.unallocated_mib[node],
            reserve=s.reserve_mib[node],
            failing=s.failing[node],
            cpus=s.used_cpus[node],
            disk=s.free_disk_mib[node],
            use=s.instance_spindles[node],
            spindles=s.free_spindles[node],
            forth_memory=s.forth_free_memory_mib[node],
            forth_cpus=s.forth_used_cpus[node],
            forth_disk=s.forth_free_disk_mib[node],
            forth_use=s.forth_instance_spindles[node],
            forth_spindles=s.forth_free_spindles[node],
        )

    def without_primary(self, held: Held) -> Held:
        """After the instance's primary side has left."""
        return self._freed(
            replace(
                held,
                unallocated=held.unallocated + self.used,
                cpus=held.cpus - self.vcpus,
                forth_memory=held.forth_memory + self.memory,
                forth_cpus=held.forth_cpus - self.forth_vcpus,
            )
        )

    def without_secondary(self, held: Held, reserve: Floats) -> Held:
        """After the instance's secondary side has left; `reserve` is the reservation without it."""
        return self._freed(replace(held, reserve=reserve))

    def with_primary(self, held: Held, strict: Flags) -> tuple[Held, Flags]:
        """With the instance's primary side, and where that is allowed."""
        s, node = self.state, held.node
        after = self._filled(
            replace(
                held,
                unallocated=held.unallocated - self.used,
                cpus=held.cpus + self.vcpus,
                forth_memory=held.forth_memory - self.memory,
                forth_cpus=held.forth_cpus + self.forth_vcpus,
            )
        )
        after = replace(after, failing=after.unallocated <= after.reserve)
        most_cpus, cpus = s.vcpu_ratio[node], s.total_cpus[node]
        with np.errstate(divide="ignore", invalid="ignore"):
            crowded = after.cpus / cpus > most_cpus
        hard = (after.unallocated > 0) & self._disk_exists(after)
        soft = ~crowded & (~after.failing | held.failing) & self._disk_good(after)
        ok = self._only_real(hard & (soft | ~strict))
        if self.forth_differs:
            with np.errstate(divide="ignore", invalid="ignore"):
                forth = (after.forth_memory > 0) & ~(after.forth_cpus / cpus > most_cpus)
            ok = ok & ((forth & self._forth_disk_good(after)) | ~strict)
        return after, ok

    def with_secondary(self, held: Held, peer: Floats, strict: Flags, *, lenient: Flags) -> tuple[Held, Flags]:
        """With the secondary side; `peer` is the reservation for the new primary so far. Where `lenient`, a full
        disk is no reason: the instance leaves a dead primary that holds its data already."""
        after = self._filled(replace(held, reserve=np.maximum(held.reserve, peer + self.reserved)))
        after = replace(after, failing=after.unallocated <= after.reserve)
        hard = self._disk_exists(after) | lenient
        soft = (self.reserved < held.unallocated) & (~after.failing | held.failing) & self._disk_good(after)
        ok = self._only_real(hard & (soft | ~strict))
        if self.forth_differs:
            ok = ok & (self._forth_disk_good(after) | ~strict)
        return after, ok

    def _freed(self, held: Held) -> Held:
        held = self._storage(held, 1)
        return replace(held, failing=held.unallocated <= held.reserve)

    def _filled(self, held: Held) -> Held:
        return self._storage(held, -1)

    def _storage(self, held: Held, sign: int) -> Held:
        if not self.any_local:
            return held
        shared: Floats | int = 1
        if self.any_exclusive:
            alone = self.state.exclusive[held.node].astype(float)
            shared = 1 - alone
            held = replace(
                held,
                spindles=held.spindles + sign * self.spindles * self.real * alone,
                forth_spindles=held.forth_spindles + sign * self.spindles * alone,
            )
        return replace(
            held,
            disk=held.disk + sign * self.disk,
            use=held.use - sign * self.use * shared,
            forth_disk=held.forth_disk + sign * self.forth_disk if self.forth_differs else held.forth_disk,
            forth_use=held.forth_use - sign * self.forth_use * shared if self.forth_differs else held.forth_use,
        )

    def _only_real(self, ok: Flags) -> Flags:
        """An instance still to come is measured by the forthcoming numbers alone."""
        return ok | ~self.real if self.forth_differs else ok

    def _disk_exists(self, after: Held) -> Flags:
        if not self.any_local:
            return np.ones_like(after.unallocated, dtype=bool)
        ok: Flags = after.disk > 0
        if self.any_exclusive:
            ok = ok & (((after.spindles >= 0) & ~self.unknown) | ~self.state.exclusive[after.node])
        return ok | ~self.local

    def _disk_good(self, after: Held) -> Flags:
        if not self.any_local:
            return np.ones_like(after.unallocated, dtype=bool)
        node, s = after.node, self.state
        ok: Flags = (after.disk >= s.least_disk_mib[node]) & (after.use <= s.most_spindle_use[node])
        return ok | ~self.local

    def _forth_disk_good(self, after: Held) -> Flags:
        node, s = after.node, self.state
        ok: Flags = (
            (after.forth_disk > 0)
            & (after.forth_disk >= s.least_disk_mib[node])
            & (after.forth_use <= s.most_spindle_use[node])
        )
        if self.any_exclusive:
            ok = ok & ((after.forth_spindles >= 0) | ~s.exclusive[node])
        return ok | ~self.local

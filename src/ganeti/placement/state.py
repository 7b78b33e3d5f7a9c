"""A cluster as arrays: what every node holds now, and what it would hold after an instance is put elsewhere.

Source: spec htools, "Derived state after loading". Arrays named after nodes have one element per node of the whole
cluster, the others one per instance; memory and disk are MiB. Sums of whole numbers are exact in float64, so a value
does not depend on the way that led to it.

Three rules say what an instance uses, and they differ: memory only when it runs, virtual CPUs unless it is marked
offline, a reservation on its secondary unless it is marked offline or must not be failed over automatically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ganeti.placement import tags
from ganeti.placement.text import Cluster, Instance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NOWHERE = -1
"""The secondary of an instance that has none."""

USING_MEMORY = frozenset({"running", "ERROR_up", "ERROR_nodedown", "ERROR_nodeoffline", "ERROR_wrongnode"})
LOCAL_STORAGE = frozenset({"drbd", "plain"})
MIRRORED_OUTSIDE = frozenset({"diskless", "sharedfile", "blockdev", "rbd", "ext", "gluster"})
MOVABLE = frozenset({"drbd", "blockdev", "sharedfile", "gluster", "rbd", "ext"})
"""Diskless instances could move, but never did."""

LOAD_KINDS = ("cpu", "mem", "disk", "net")

Load = tuple[float, float, float, float]


@dataclass(kw_only=True)
class Options:
    """What the operator says about the cluster that the file does not."""

    offline: frozenset[int] = frozenset()
    vcpu_ratio: float | None = None
    """Takes the place of the policies' ratio."""
    least_free_disk: float = 0.0
    """Share of every disk that is to stay free."""
    exclusion_tags: tuple[str, ...] = ()
    utilisation: Mapping[str, Load] | None = None
    """By instance name; others have 1 of everything."""
    ignore_utilisation: bool = False


class State:
    """Nodes and instances as arrays; `place` moves an instance and keeps every array true."""

    def __init__(self, cluster: Cluster, options: Options | None = None) -> None:
        options = options or Options()
        self.cluster = cluster
        self.meaning = tags.read(cluster, options.exclusion_tags)
        self._read_instances(cluster.instances, options)
        self._read_nodes(cluster, options)
        self._read_tags()
        for index in range(len(cluster.instances)):
            self._count(index, 1)
        self._settle()

    def _read_instances(self, instances: Sequence[Instance], options: Options) -> None:
        def column(values: Sequence[Any], kind: type = float) -> NDArray[Any]:
            return np.array(values, dtype=kind)

        self.primary: Ints = column([i.primary for i in instances], int)
        self.secondary: Ints = column([NOWHERE if i.secondary is None else i.secondary for i in instances], int)
        self.forthcoming: Flags = column([i.forthcoming for i in instances], bool)
        self.local: Flags = column([i.template in LOCAL_STORAGE for i in instances], bool)
        self.drbd: Flags = column([i.template == "drbd" for i in instances], bool)
        real = ~self.forthcoming
        memory = column([i.memory_mib for i in instances])
        self.memory_mib: Floats = memory
        runs = column([i.status in USING_MEMORY for i in instances], bool) & real
        self.used_memory_mib: Floats = np.where(runs, memory, 0.0)
        reserves = column([i.auto_balance and i.status != "ADMIN_offline" for i in instances], bool) & real
        self.reserved_mib: Floats = np.where(reserves, memory, 0.0)
        vcpus = column([0 if i.status == "ADMIN_offline" else i.vcpus for i in instances])
        self.forth_vcpus: Floats = vcpus
        self.vcpus: Floats = np.where(real, vcpus, 0.0)
        self.forth_disk_mib: Floats = np.where(self.local, column([i.disk_mib for i in instances]), 0.0)
        self.disk_mib: Floats = np.where(real, self.forth_disk_mib, 0.0)
        self.forth_spindle_use: Floats = np.where(self.local, column([i.spindle_use for i in instances]), 0.0)
        self.spindle_use: Floats = np.where(real, self.forth_spindle_use, 0.0)
        self.spindles_unknown: Flags = self.local & column([i.spindles is None for i in instances], bool)
        self.spindles: Floats = np.where(self.local, column([i.spindles or 0 for i in instances]), 0.0)
        if options.ignore_utilisation:
            load = np.zeros((4, len(instances)))
        else:
            known = options.utilisation or {}
            load = np.array([known.get(i.name, (1.0,) * 4) for i in instances], dtype=float).reshape(-1, 4).T.copy()
        self.load: Floats = np.where(real, load, 0.0)
        """(4, instances): cpu, mem, disk, net."""

    def _read_nodes(self, cluster: Cluster, options: Options) -> None:
        nodes, count = cluster.nodes, len(cluster.nodes)

        def column(values: Sequence[Any], kind: type = float) -> NDArray[Any]:
            return np.array(values, dtype=kind)

        policies = [cluster.groups[node.group].policy for node in nodes]
        self.group: Ints = column([node.group for node in nodes], int)
        self.online: Flags = column(
            [not node.offline and index not in options.offline for index, node in enumerate(nodes)], bool
        )
        self.total_memory_mib: Floats = column([node.total_memory_mib for node in nodes])
        self.node_memory_mib: Floats = column([node.used_memory_mib for node in nodes])
        self.measured_free_mib: Floats = column([node.free_memory_mib for node in nodes])
        self.total_disk_mib: Floats = column([node.total_disk_mib for node in nodes])
        self.free_disk_mib: Floats = column([node.free_disk_mib for node in nodes])
        self.least_disk_mib: Floats = np.floor(options.least_free_disk * self.total_disk_mib)
        self.total_cpus: Floats = column([node.total_cpus for node in nodes])
        self.cpu_speed: Floats = column([node.cpu_speed for node in nodes])
        self.vcpu_ratio: Floats = column([options.vcpu_ratio or policy.vcpu_ratio for policy in policies])
        self.exclusive: Flags = column([node.exclusive_storage for node in nodes], bool)
        self.total_spindles: Floats = column([node.spindles for node in nodes])
        self.free_spindles: Floats = column([node.free_spindles for node in nodes])
        ratio = column([policy.spindle_ratio for policy in policies])
        self.most_spindle_use: Floats = ratio * self.total_spindles
        self.used_cpus: Floats = column([node.used_cpus for node in nodes])
        self.instance_spindles: Floats = np.zeros(count)
        self.primaries: Floats = np.zeros(count)
        self.secondaries: Floats = np.zeros(count)
        self.instance_memory_mib: Floats = np.zeros(count)
        self.node_load: Floats = np.zeros((4, count))
        self.peers_mib: Floats = np.zeros((count, count))
        """[secondary, primary]: memory to be found on the one when the other dies."""
        self.forth_free_memory_mib: Floats = self.measured_free_mib.copy()
        self.forth_free_disk_mib: Floats = self.free_disk_mib.copy()
        self.forth_free_spindles: Floats = self.free_spindles.copy()
        self.forth_used_cpus: Floats = self.used_cpus.copy()
        self.forth_instance_spindles: Floats = np.zeros(count)

    def _read_tags(self) -> None:
        meaning = self.meaning
        names = sorted(frozenset().union(*meaning.exclusion))
        places = sorted(frozenset().union(*meaning.location))
        self.exclusion: Floats = _incidence(meaning.exclusion, names)
        self.location: Floats = _incidence(meaning.location, places)
        self.desired: Floats = _incidence(meaning.desired_location, places)
        self.desired_count: Floats = np.array([len(found) for found in meaning.desired_location], dtype=float)
        self.node_exclusion: Floats = np.zeros((len(meaning.location), len(names)))
        """[node, tag]: how many primaries have it."""
        self.real_exclusion: Floats = self.node_exclusion.copy()
        """The same without instances still to come."""
        count = len(meaning.location)
        self.may_migrate: Flags = np.ones((count, count), dtype=bool)
        if any(meaning.migration):
            self.may_migrate = np.array(
                [[meaning.may_migrate(source, target) for target in range(count)] for source in range(count)]
            )

    def _settle(self) -> None:
        """What depends on all instances at once, after the first count."""
        missing = np.trunc(self.total_memory_mib) - self.node_memory_mib - self.instance_memory_mib
        self.missing_mib: Floats = missing - self.measured_free_mib
        """Memory that nothing accounts for; negative when more is free than there should be."""
        self.unallocated_mib: Floats = missing - np.maximum(0.0, self.missing_mib)
        # What was measured already lacks what runs, and holds what does not.
        self.free_disk_mib = np.array([node.free_disk_mib for node in self.cluster.nodes], dtype=float)
        self.free_spindles = np.array([node.free_spindles for node in self.cluster.nodes], dtype=float)
        idle = self.memory_mib - self.used_memory_mib
        count = len(self.online)
        self.forth_free_memory_mib = self.measured_free_mib - np.bincount(self.primary, idle, count)
        expected = self.forth_disk_mib - self.disk_mib
        second = self.secondary >= 0
        self.forth_free_disk_mib = self.free_disk_mib - np.bincount(self.primary, expected, count)
        self.forth_free_disk_mib -= np.bincount(self.secondary[second], expected[second], count)
        spindles = np.where(self.forthcoming, self.spindles, 0.0)
        self.forth_free_spindles = self.free_spindles - np.bincount(self.primary, spindles, count)
        self.forth_free_spindles -= np.bincount(self.secondary[second], spindles[second], count)
        self.reserve_mib: Floats = self.peers_mib.max(axis=1, initial=0.0)
        self.failing: Flags = self.measured_free_mib < self.reserve_mib
        """Nodes that could not take over from every one of their peers (N+1). At first by what was measured."""

    def place(self, instance: int, primary: int, secondary: int) -> None:
        """Move an instance there, whatever the nodes can hold. Calling it with the old nodes takes it back exactly,
        but for `failing`, which from the first move on goes by what is unallocated."""
        touched = {int(self.primary[instance]), int(self.secondary[instance]), primary, secondary} - {NOWHERE}
        self._count(instance, -1)
        self.primary[instance], self.secondary[instance] = primary, secondary
        self._count(instance, 1)
        for node in touched:
            self.reserve_mib[node] = self.peers_mib[node].max(initial=0.0)
            self.failing[node] = self.unallocated_mib[node] <= self.reserve_mib[node]

    def _count(self, i: int, sign: int) -> None:
        """Add (1) or take away (-1) what an instance uses on its nodes."""
        p, s = int(self.primary[i]), int(self.secondary[i])
        real = not self.forthcoming[i]
        self.node_exclusion[p] += sign * self.exclusion[i]
        self.real_exclusion[p] += sign * self.exclusion[i] * real
        self.forth_free_memory_mib[p] -= sign * self.memory_mib[i]
        self.forth_used_cpus[p] += sign * self.forth_vcpus[i]
        self.used_cpus[p] += sign * self.vcpus[i]
        self.instance_memory_mib[p] += sign * self.used_memory_mib[i]
        if hasattr(self, "unallocated_mib"):
            self.unallocated_mib[p] -= sign * self.used_memory_mib[i]
        self.node_load[:, p] += sign * self.load[:, i]
        self.primaries[p] += sign * real
        for node in (p, s):
            if node == NOWHERE:
                continue
            self.free_disk_mib[node] -= sign * self.disk_mib[i]
            self.forth_free_disk_mib[node] -= sign * self.forth_disk_mib[i]
            if self.exclusive[node]:
                self.forth_free_spindles[node] -= sign * self.spindles[i]
                self.free_spindles[node] -= sign * self.spindles[i] * real
            else:
                self.instance_spindles[node] += sign * self.spindle_use[i]
                self.forth_instance_spindles[node] += sign * self.forth_spindle_use[i]
        if s != NOWHERE:
            self.secondaries[s] += sign * real
            self.node_load[2, s] += sign * self.load[2, i]
            self.peers_mib[s, p] += sign * self.reserved_mib[i]

    def location_scores(self) -> Floats:
        """Per instance: places that its two nodes share, plus wishes that its primary does not grant."""
        mine = self.location[self.primary]
        shared = (mine * self.location[self.secondary]).sum(axis=1)
        shared[self.secondary == NOWHERE] = 0.0
        scores: Floats = shared + self.desired_count - (self.desired * mine).sum(axis=1)
        scores[self.forthcoming] = 0.0
        return scores


def _incidence(found: Sequence[frozenset[str]], names: Sequence[str]) -> Floats:
    """[thing, name]: 1 where the thing has it."""
    column = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(found), len(names)))
    for row, mine in enumerate(found):
        for name in mine:
            if name in column:
                matrix[row, column[name]] = 1.0
    return matrix


def snapshot(state: State) -> Cluster:
    """The cluster as the state has it now. Measured free memory stays: only a node can measure."""
    replace = msgspec.structs.replace
    nodes = tuple(
        replace(
            node,
            offline=not bool(state.online[index]),
            free_disk_mib=int(state.free_disk_mib[index]),
            free_spindles=int(state.free_spindles[index]),
        )
        for index, node in enumerate(state.cluster.nodes)
    )
    instances = tuple(
        replace(
            instance,
            primary=int(state.primary[index]),
            secondary=None if state.secondary[index] == NOWHERE else int(state.secondary[index]),
        )
        for index, instance in enumerate(state.cluster.instances)
    )
    return replace(state.cluster, nodes=nodes, instances=instances)

"""How good a cluster's balance is: twenty components, their weights, and the sum that balancing makes smaller.

Source: spec htools, "The cluster score". "sd" is the population standard deviation over the online nodes of the scope;
"forth" means counting instances that are still to come, and stopped ones as if they ran.
Sums run in the order of the nodes: the last digit decides between moves that are otherwise equal.
"""

from __future__ import annotations

import numpy as np

from ganeti.placement.state import NOWHERE, Flags, Floats, Ints, State

WEIGHTS: dict[str, float] = {
    "free_mem_cv": 0.5,
    "free_disk_cv": 0.5,
    "n1_cnt": 1.0,
    "reserved_mem_cv": 1.0,
    "offline_all_cnt": 4.0,
    "offline_pri_cnt": 16.0,
    "vcpu_ratio_cv": 0.5,
    "cpu_load_cv": 1.0,
    "mem_load_cv": 1.0,
    "disk_load_cv": 1.0,
    "net_load_cv": 1.0,
    "pri_tags_score": 2.0,
    "spindles_cv": 0.5,
    "free_mem_cv_forth": 0.5,
    "free_disk_cv_forth": 0.5,
    "vcpu_ratio_cv_forth": 0.5,
    "spindles_cv_forth": 0.5,
    "location_score": 1.0,
    "location_exclusion_score": 1.0,
    "reserved_mem_rtotal": 0.25,
}
"""By name, in the order in which they are printed and added up."""

SPREADS = (
    "free_mem_cv",
    "free_disk_cv",
    "reserved_mem_cv",
    "vcpu_ratio_cv",
    "cpu_load_cv",
    "mem_load_cv",
    "disk_load_cv",
    "net_load_cv",
    "spindles_cv",
    "free_mem_cv_forth",
    "free_disk_cv_forth",
    "vcpu_ratio_cv_forth",
    "spindles_cv_forth",
)
"""The components that are standard deviations, as the rows of `spread_values`."""


class Scorer:
    """Scores a state over a scope: the nodes of a group, or of the whole cluster."""

    def __init__(self, state: State, scope: Ints | None = None) -> None:
        self.state = state
        self.scope: Ints = np.arange(len(state.online)) if scope is None else scope
        self.nodes: Ints = self.scope[state.online[self.scope]]
        self.dark: Ints = self.scope[~state.online[self.scope]]
        counted = np.zeros(len(state.online), dtype=bool)
        counted[self.nodes] = True
        self.counted: Flags = counted

    def score(self) -> float:
        """The weighted sum; smaller is better, 0 without online nodes."""
        return float(sum(WEIGHTS[name] * value for name, value in self.components().items()))

    def components(self) -> dict[str, float]:
        """All twenty by name; none without online nodes."""
        if not len(self.nodes):
            return {}
        s, on, dark = self.state, self.nodes, self.dark
        found = dict(zip(SPREADS, spread(spread_values(s, on)), strict=True))
        failing = on[s.failing[on]]
        found["n1_cnt"] = float((s.primaries[failing] + s.secondaries[failing]).sum())
        found["offline_all_cnt"] = float((s.primaries[dark] + s.secondaries[dark]).sum())
        found["offline_pri_cnt"] = float(s.primaries[dark].sum())
        found["pri_tags_score"] = float(repeated(s.node_exclusion[on]).sum())
        found["location_score"] = float(s.location_scores()[self.counted[s.primary]].sum()) if self.placed else 0.0
        found["location_exclusion_score"] = float(repeated(self.exclusion_by_location()).sum())
        found["reserved_mem_rtotal"] = _in_order(_share(s.reserve_mib[on], s.total_memory_mib[on]))
        return {name: found[name] for name in WEIGHTS}

    @property
    def placed(self) -> bool:
        """Whether locations matter to any instance."""
        return bool(self.state.location.size or self.state.desired_count.any())

    def exclusion_by_location(self) -> Floats:
        """[location tag, exclusion tag]: primaries with the one on online nodes with the other."""
        on = self.nodes
        counts: Floats = self.state.location[on].T @ self.state.real_exclusion[on]
        return counts


def spread_values(s: State, on: Ints) -> Floats:
    """(13, nodes): the values whose standard deviations are the components `SPREADS`.

    free_mem = unallocated / total memory; free_disk = free / total disk (spindles with exclusive storage, 1 without
    disk); reserved_mem = largest reservation for a peer / total memory; vcpu_ratio = used CPUs / CPUs / speed;
    loads = sum over primaries (disk: and secondaries); spindles = use / most that the policy allows.
    """
    memory, cpus, speed, most = s.total_memory_mib[on], s.total_cpus[on], s.cpu_speed[on], s.most_spindle_use[on]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array(
            [
                s.unallocated_mib[on] / memory,
                disk_share(s, on, s.free_disk_mib, s.free_spindles),
                s.reserve_mib[on] / memory,
                s.used_cpus[on] / cpus / speed,
                *s.node_load[:, on],
                s.instance_spindles[on] / most,
                s.forth_free_memory_mib[on] / memory,
                disk_share(s, on, s.forth_free_disk_mib, s.forth_free_spindles),
                s.forth_used_cpus[on] / cpus / speed,
                s.forth_instance_spindles[on] / most,
            ]
        )


def disk_share(s: State, on: Ints, free_mib: Floats, free_spindles: Floats) -> Floats:
    """Free part of the disk per node: in MiB, or in spindles where storage is exclusive; 1 where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        by_size = np.where(s.total_disk_mib[on] == 0, 1.0, free_mib[on] / s.total_disk_mib[on])
        by_spindle = np.where(s.total_spindles[on] == 0, 1.0, free_spindles[on] / s.total_spindles[on])
    return np.where(s.exclusive[on], by_spindle, by_size)


def spread(values: Floats) -> Floats:
    """Population standard deviation of each row, by two passes in the order of the columns."""
    count = values.shape[-1]
    with np.errstate(invalid="ignore"):
        mean = np.add.accumulate(values, axis=-1)[..., -1:] / count
        deviation = values - mean
        total = np.add.accumulate(deviation * deviation, axis=-1)[..., -1]
        result: Floats = np.sqrt(total / count)
    return result


def repeated(counts: Floats) -> Floats:
    """How many of each are there beyond the first."""
    return np.maximum(counts - 1.0, 0.0)


def lower_bound(state: State, scope: Ints | None = None) -> float:
    """What the score of these nodes cannot go below: something has to be reserved for mirrored instances."""
    nodes = np.arange(len(state.online)) if scope is None else scope
    memory = state.total_memory_mib[nodes]
    total = _in_order(memory)
    rest = total - float(memory.max(initial=0.0))
    if len(nodes) < 2 or rest <= 0:
        return 0.0
    reserved = float(state.peers_mib[nodes].sum())
    return WEIGHTS["reserved_mem_rtotal"] * (reserved / rest - reserved / total)


def instances_of(state: State, scope: Ints) -> Ints:
    """Indices of the instances whose primary is one of these nodes."""
    member = np.zeros(len(state.online), dtype=bool)
    member[scope] = True
    return np.flatnonzero(member[state.primary])


def bad_nodes(state: State, scope: Ints) -> Ints:
    """Online nodes that are not N+1 happy."""
    return scope[state.online[scope] & state.failing[scope]]


def bad_instances(state: State, scope: Ints) -> Ints:
    """Instances with a node that is not N+1 happy."""
    bad = np.zeros(len(state.online) + 1, dtype=bool)  # the last one stands for NOWHERE
    bad[bad_nodes(state, scope)] = True
    member = instances_of(state, scope)
    assert NOWHERE == -1
    return member[bad[state.primary[member]] | bad[state.secondary[member]]]


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = part / whole
    return result


def _in_order(values: Floats) -> float:
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0

"""Balance a group of nodes: in every step the one move that lowers the score most.

All candidates of a step are scored in closed form: a move changes what three nodes hold, so the sum and the sum of
squares behind each standard deviation change by a few terms. Candidates that are nearly the best are scored again from
scratch in the order in which they are tried, because the last digit decides and the first of equals wins.
Source: spec htools, "Candidate set per hbal step".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ganeti.placement import score
from ganeti.placement.moves import KINDS, Checks, Held, Kind, result
from ganeti.placement.score import SPREADS, WEIGHTS, Scorer
from ganeti.placement.state import MOVABLE, NOWHERE, Flags, Floats, Ints, State

NEAR = 1e-7
"""Closed-form scores that differ by less may be equal: a root of a difference loses half of the digits."""

CELLS = 1 << 16
"""Instances times targets scored at once: what a cache holds."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may be moved, and when to stop. Names are those of hbal's options."""

    min_score: float = 1e-9
    min_gain: float = 0.01
    min_gain_limit: float = 0.1
    disk_moves: bool = True
    instance_moves: bool = True
    restricted_migration: bool = False
    evac_mode: bool = False
    ignore_soft_errors: bool = False
    selected: frozenset[int] | None = None
    excluded: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One move that was made, and the score after it."""

    instance: int
    kind: Kind
    target: int
    before: tuple[int, int]
    after: tuple[int, int]
    score: float


@dataclass(frozen=True)
class Candidate:
    """A move, its closed-form score, and its place in the order of trying."""

    score: float
    instance: int
    kind: Kind
    target: int

    @property
    def order(self) -> tuple[int, int, int]:
        return self.instance, self.target, KINDS.index(self.kind)


@dataclass(frozen=True)
class _Spread:
    """One standard deviation, or several that are always equal. Not counted nodes have zeros."""

    weight: float
    value: Floats
    """Per node, less the mean."""
    scale: Floats
    primary: Floats
    """Per instance: what its primary side adds, in units of 1 / scale."""
    secondary: Floats
    squares: float
    spindles: Floats | None = None
    """Per instance, for a spread that counts MiB on some nodes and spindles on those of `exclusive`."""
    spindle_scale: Floats | None = None


class Balancer:
    """Makes steps on a state, which it changes."""

    def __init__(self, state: State, scope: Ints | None = None, rules: Rules | None = None) -> None:
        self.state = state
        self.rules = rules or Rules()
        self.scorer = Scorer(state, scope)
        self.targets = self.scorer.nodes
        self.movable = self._movable()
        self.floor = score.lower_bound(state, self.scorer.scope)
        self.score = self.scorer.score()

    def steps(self, limit: int | None = None) -> Iterator[Step]:
        """Make steps until none is worth it, or so many were made."""
        made = 0
        while (limit is None or made < limit) and self.score > self.rules.min_score + self.floor:
            step = self._best()
            if step is None or not self._worth(step.score):
                return
            self.state.place(step.instance, *step.after)
            self.score = step.score
            made += 1
            yield step

    def _worth(self, new: float) -> bool:
        return new < self.score and (self.score > self.rules.min_gain_limit or self.score - new >= self.rules.min_gain)

    def _movable(self) -> Ints:
        s, rules = self.state, self.rules
        found = []
        for index in score.instances_of(s, self.scorer.scope).tolist():
            instance = s.cluster.instances[index]
            p, second = int(s.primary[index]), int(s.secondary[index])
            split = second != NOWHERE and s.group[p] != s.group[second]
            chosen = (rules.selected is None or index in rules.selected) and index not in rules.excluded
            if chosen and instance.auto_balance and not split and instance.template in MOVABLE:
                found.append(index)
        return np.array(found, dtype=int)

    def _best(self) -> Step | None:
        best: Step | None = None
        for candidate in sorted(self.nearly_best(), key=lambda found: found.order):
            i = candidate.instance
            before = int(self.state.primary[i]), int(self.state.secondary[i])
            after = result(candidate.kind, *before, candidate.target)
            exact = self.score_after(i, after)
            if best is None or exact < best.score:
                best = Step(
                    instance=i, kind=candidate.kind, target=candidate.target, before=before, after=after, score=exact
                )
        return best

    def score_after(self, instance: int, nodes: tuple[int, int]) -> float:
        """The score from scratch with one instance elsewhere; the state is the same afterwards."""
        s = self.state
        before, failing = (int(s.primary[instance]), int(s.secondary[instance])), s.failing.copy()
        s.place(instance, *nodes)
        found = self.scorer.score()
        s.place(instance, *before)
        s.failing = failing
        return found

    def nearly_best(self) -> list[Candidate]:
        """The allowed candidate with the least score, and all that are as good within `NEAR`."""
        best, near = np.inf, []
        for rows, kind, scores in self.candidates():
            low = float(scores.min(initial=np.inf))
            if not low < np.inf or low > best + NEAR:
                continue
            best = min(best, low)
            for row, column in zip(*np.nonzero(scores <= best + NEAR), strict=True):
                target = NOWHERE if kind is Kind.FAILOVER else int(self.targets[column])
                near.append(Candidate(float(scores[row, column]), int(rows[row]), kind, target))
        return [candidate for candidate in near if candidate.score <= best + NEAR]

    def candidates(self) -> Iterator[tuple[Ints, Kind, Floats]]:
        """Instances, kind, and scores by instance and target (one column for a failover); inf where not allowed."""
        s = self.state
        rows = self.movable
        if self.rules.evac_mode:
            dark = np.append(~s.online, False)
            rows = rows[dark[s.primary[rows]] | dark[s.secondary[rows]]]
        if not len(rows) or not len(self.targets):
            return
        yielded = _Step(self)
        size = max(1, CELLS // len(self.targets))
        mirrored, shared = rows[s.drbd[rows]], rows[~s.drbd[rows]]
        for start in range(0, len(mirrored), size):
            yield from yielded.mirrored(mirrored[start : start + size])
        if self.rules.instance_moves:
            for start in range(0, len(shared), size):
                yield from yielded.shared(shared[start : start + size])


class _Step:
    """The scores of one step's candidates."""

    def __init__(self, balancer: Balancer) -> None:
        s = self.s = balancer.state
        self.rules, scorer = balancer.rules, balancer.scorer
        self.targets, self.counted, self.count = balancer.targets, scorer.counted, len(scorer.nodes)
        found = scorer.components()
        self.constant = sum(WEIGHTS[name] * value for name, value in found.items() if name not in SPREADS)
        self.spreads = list(self._spreads())
        self.reserve, self.reserve_scale = self._per_node(s.reserve_mib, s.total_memory_mib)
        self.reserve_squares = float((self.reserve**2).sum())
        # The two largest reservations of each node tell the largest one without any given peer.
        largest = s.peers_mib.argmax(axis=1)
        rest = s.peers_mib.copy()
        rest[np.arange(len(largest)), largest] = -1.0
        self.largest, self.second = largest, np.maximum(rest.max(axis=1, initial=0.0), 0.0)
        self.in_scope = np.zeros(len(s.online), dtype=bool)
        self.in_scope[scorer.scope] = True
        self.watch_failing = bool(s.failing.any() or self.rules.ignore_soft_errors or not s.online.all())
        self.tagged = bool(s.exclusion.any())
        self.placed = scorer.placed
        self.by_location = scorer.exclusion_by_location() if self.tagged and s.location.size else None
        self.location_scores = s.location_scores() if self.placed else np.zeros(len(s.primary))

    def _per_node(self, value: Floats, whole: Floats) -> tuple[Floats, Floats]:
        """Shares less their mean, and what a unit weighs; zeros for nodes that do not count."""
        on = self.counted
        scale, centred = np.zeros(len(on)), np.zeros(len(on))
        with np.errstate(divide="ignore", invalid="ignore"):
            scale[on] = 1.0 / whole[on]
            share = value[on] / whole[on]
            centred[on] = share - share.mean()
        return centred, scale

    def _spreads(self) -> Iterator[_Spread]:
        """The linear components; equal ones are folded into one with the sum of their weights."""
        s, none = self.s, np.zeros(len(self.s.primary))
        one = np.ones(len(s.online))
        cpus = s.total_cpus * s.cpu_speed
        amounts = {
            "free_mem_cv": (s.unallocated_mib, s.total_memory_mib, -s.used_memory_mib, none),
            "vcpu_ratio_cv": (s.used_cpus, cpus, s.vcpus, none),
            "cpu_load_cv": (s.node_load[0], one, s.load[0], none),
            "mem_load_cv": (s.node_load[1], one, s.load[1], none),
            "disk_load_cv": (s.node_load[2], one, s.load[2], s.load[2]),
            "net_load_cv": (s.node_load[3], one, s.load[3], none),
            "spindles_cv": (s.instance_spindles, s.most_spindle_use, s.spindle_use, s.spindle_use),
            "free_mem_cv_forth": (s.forth_free_memory_mib, s.total_memory_mib, -s.memory_mib, none),
            "vcpu_ratio_cv_forth": (s.forth_used_cpus, cpus, s.forth_vcpus, none),
            "spindles_cv_forth": (
                s.forth_instance_spindles,
                s.most_spindle_use,
                s.forth_spindle_use,
                s.forth_spindle_use,
            ),
        }
        disks = {
            "free_disk_cv": (s.free_disk_mib, s.free_spindles, s.disk_mib, s.spindles * ~s.forthcoming),
            "free_disk_cv_forth": (s.forth_free_disk_mib, s.forth_free_spindles, s.forth_disk_mib, s.spindles),
        }
        folded: dict[tuple[bytes, ...], _Spread] = {}

        def fold(name: str, value: Floats, scale: Floats, primary: Floats, secondary: Floats) -> None:
            key: tuple[bytes, ...] = value.tobytes(), scale.tobytes(), primary.tobytes(), secondary.tobytes()
            if s.exclusive.any():
                key = (*key, name.encode())
            weight = WEIGHTS[name] + (folded[key].weight if key in folded else 0.0)
            folded[key] = _Spread(weight, value, scale, primary, secondary, float((value**2).sum()))

        for name, (value, whole, primary, secondary) in amounts.items():
            centred, scale = self._per_node(value, whole)
            if name.startswith("spindles"):
                scale[s.exclusive] = 0.0
            fold(name, centred, scale, primary, secondary)
        for name, (free, free_spindles, size, spindles) in disks.items():
            share = score.disk_share(s, np.arange(len(s.online)), free, free_spindles)
            centred, _ = self._per_node(share, one)
            with np.errstate(divide="ignore"):
                by_size = np.where(self.counted & ~s.exclusive & (s.total_disk_mib != 0), 1.0 / s.total_disk_mib, 0.0)
                by_spindle = np.where(self.counted & s.exclusive & (s.total_spindles != 0), 1.0 / s.total_spindles, 0.0)
            fold(name, centred, by_size, -size, -size)
            if by_spindle.any():
                last = next(reversed(folded))
                folded[last] = replace(folded[last], spindles=-spindles, spindle_scale=by_spindle)
        yield from folded.values()

    def mirrored(self, rows: Ints) -> Iterator[tuple[Ints, Kind, Floats]]:
        """Candidates of DRBD instances."""
        s, rules = self.s, self.rules
        part = _Part(self, rows)
        first_on, second_on = s.online[part.p], s.online[part.s]
        if rules.instance_moves:
            yield rows, Kind.FAILOVER, part.failover(allowed=second_on)
        if not rules.disk_moves:
            return
        yield rows, Kind.REPLACE_SECONDARY, part.replace_secondary()
        if not rules.instance_moves:
            return
        free = ~first_on if rules.restricted_migration else np.ones_like(first_on)
        yield rows, Kind.REPLACE_AND_FAILOVER, part.replace_and_failover(allowed=free)
        if not rules.restricted_migration:
            yield rows, Kind.REPLACE_PRIMARY, part.replace_primary(allowed=second_on)
        yield rows, Kind.FAILOVER_AND_REPLACE, part.failover_and_replace(allowed=second_on & free)

    def shared(self, rows: Ints) -> Iterator[tuple[Ints, Kind, Floats]]:
        """Candidates of instances on storage outside the nodes."""
        yield rows, Kind.FAILOVER_TO_ANY, _Part(self, rows).failover_to_any()


class _Part:
    """Some rows of a step: what their nodes hold before, between and after, each computed once."""

    def __init__(self, step: _Step, rows: Ints) -> None:
        s = self.state = step.s
        self.step, self.rows = step, rows
        self.p, self.s = s.primary[rows], s.secondary[rows]
        self.P, self.S, self.T = self.p[:, None], self.s[:, None], step.targets[None, :]
        self.checks = checks = Checks(s, rows)
        self.has_second = bool((self.s >= 0).all()) and len(rows) > 0
        soft = step.rules.ignore_soft_errors
        self.strict_p = s.online[self.P] & (not soft)
        self.strict_s = s.online[self.S] & (not soft)
        self.never = np.zeros_like(self.strict_p)
        self.at_p = checks.held(self.P)
        self.p_free = checks.without_primary(self.at_p)
        self.at_t = checks.held(self.T)
        self.other = (self.T != self.P) & (self.T != self.S)
        self._sums: dict[tuple[int, ...], Floats] = {}
        if self.has_second:
            self.at_s = checks.held(self.S)
            at_peer = s.peers_mib[self.S, self.P] - checks.reserved
            alone = step.largest[self.S] == self.P
            rest = np.where(alone, np.maximum(step.second[self.S], at_peer), self.at_s.reserve)
            self.s_free = checks.without_secondary(self.at_s, rest)
            self.s_primary, ok = checks.with_primary(self.s_free, self.strict_p)
            self.s_primary_ok = ok & self._apart(self.S, self.strict_p) & s.may_migrate[self.P, self.S]

    def failover(self, *, allowed: Flags) -> Floats:
        p_second, ok = self.checks.with_secondary(
            self.p_free, self.state.peers_mib[self.P, self.S], self.strict_p, lenient=~self.state.online[self.P]
        )
        ok = ok & self.s_primary_ok & allowed[:, None]
        scores = self._score((-1, 1, 1, -1, 0, 0), p_second, self.s_primary, None, self.S)
        return np.where(ok, scores, np.inf)

    def replace_secondary(self) -> Floats:
        peer = self.state.peers_mib[:, self.p].T[:, self.step.targets]
        t_second, ok = self.checks.with_secondary(self.at_t, peer, self.strict_s, lenient=self.never)
        scores = self._score(
            (0, 0, 0, -1, 0, 1), self._settled(self.at_p), self.s_free, t_second, self.P, second=self.T
        )
        return np.where(ok & self.other, scores, np.inf)

    def replace_and_failover(self, *, allowed: Flags) -> Floats:
        t_primary, ok = self._at_target(self.strict_s)
        peer = self.state.peers_mib[self.p][:, self.step.targets]
        p_second, fits = self.checks.with_secondary(self.p_free, peer, self.strict_s, lenient=self.never)
        ok = ok & fits & self.other & self.state.may_migrate[self.P, self.T] & allowed[:, None]
        scores = self._score((-1, 1, 0, -1, 1, 0), p_second, self.s_free, t_primary, self.T, second=self.P)
        return np.where(ok, scores, np.inf)

    def replace_primary(self, *, allowed: Flags) -> Floats:
        t_primary, ok = self._at_target(self.strict_p)
        peer = self.state.peers_mib[self.s][:, self.step.targets]
        s_second, fits = self.checks.with_secondary(self.s_free, peer, self.strict_p, lenient=self.never)
        ok = ok & fits & self.other & self.s_primary_ok & self.state.may_migrate[self.S, self.T] & allowed[:, None]
        scores = self._score((-1, 0, 0, 0, 1, 0), self.p_free, s_second, t_primary, self.T, second=self.S)
        return np.where(ok, scores, np.inf)

    def failover_and_replace(self, *, allowed: Flags) -> Floats:
        peer = self.state.peers_mib[:, self.s].T[:, self.step.targets]
        t_second, ok = self.checks.with_secondary(self.at_t, peer, self.strict_p, lenient=self.never)
        ok = ok & self.s_primary_ok & self.other & allowed[:, None]
        scores = self._score((-1, 0, 1, -1, 0, 1), self.p_free, self.s_primary, t_second, self.S, second=self.T)
        return np.where(ok, scores, np.inf)

    def failover_to_any(self) -> Floats:
        t_primary, ok = self.checks.with_primary(self.at_t, self.strict_p)
        ok = ok & self._apart(self.T, self.strict_p) & self.other & self.state.may_migrate[self.P, self.T]
        scores = self._score((-1, 0, 0, 0, 1, 0), self.p_free, None, t_primary, self.T)
        return np.where(ok, scores, np.inf)

    def _at_target(self, strict: Flags) -> tuple[Held, Flags]:
        held, ok = self.checks.with_primary(self.at_t, strict)
        return held, ok & self._apart(self.T, strict)

    def _settled(self, held: Held) -> Held:
        """The same, with N+1 judged anew: the node was left and joined again."""
        return replace(held, failing=held.unallocated <= held.reserve)

    def _apart(self, nodes: Ints, strict: Flags) -> Flags:
        """Where no primary on the node has an exclusion tag of the instance."""
        s = self.state
        if not self.step.tagged:
            return np.ones((1, 1), dtype=bool)
        mine = s.exclusion[self.rows]
        if nodes is self.T:
            clashes = mine @ (s.node_exclusion[self.step.targets] > 0).T.astype(float)
        else:
            clashes = (mine * (s.node_exclusion[nodes[:, 0]] > 0)).sum(axis=1)[:, None]
        apart: Flags = (clashes == 0) | ~strict
        return apart

    def _score(
        self,
        sides: tuple[int, int, int, int, int, int],
        p: Held,
        s: Held | None,
        t: Held | None,
        primary: Ints,
        second: Ints | None = None,
    ) -> Floats:
        """Scores after a move. `sides`: how many primary and secondary sides come to p, to s and to t; then what the
        nodes hold, and where the instance is afterwards (the secondary defaults to p)."""
        total: Floats = np.full((1, 1), self.step.constant)
        for spread in self.step.spreads:
            total = total + self._spread(spread, sides)
        total = total + self._reserves(p, s, t) + self._offline(sides)
        if self.step.watch_failing:
            total = total + self._failing(sides, p, s, t)
        if primary is not self.P and self.step.tagged:
            total = total + self._tags(primary)
        if self.step.placed:
            total = total + self._location(primary, self.P if second is None else second)
        return total

    def _spread(self, spread: _Spread, sides: tuple[int, int, int, int, int, int]) -> Floats:
        """The weighted standard deviation after the move. Most kinds share most of them."""
        p1, p2, s1, s2, t1, t2 = sides
        if spread.primary is spread.secondary or np.array_equal(spread.primary, spread.secondary):
            key: tuple[int, ...] = (id(spread), p1 + p2, 0, s1 + s2, 0, t1 + t2, 0)
        elif not spread.secondary.any():
            key = (id(spread), p1, 0, s1, 0, t1, 0)
        else:
            key = (id(spread), *sides)
        if key in self._sums:
            return self._sums[key]
        by_primary, by_secondary = spread.primary[self.rows][:, None], spread.secondary[self.rows][:, None]
        shift: Floats = np.zeros((1, 1))
        squares: Floats = np.full((1, 1), spread.squares)
        for nodes, first, second in zip((self.P, self.S, self.T), key[1::2], key[2::2], strict=True):
            if first or second:
                delta = (first * by_primary + second * by_secondary) * spread.scale[nodes]
                if spread.spindles is not None and spread.spindle_scale is not None:
                    delta = delta + (first + second) * spread.spindles[self.rows][:, None] * spread.spindle_scale[nodes]
                shift = shift + delta
                squares = squares + delta * (2.0 * spread.value[nodes] + delta)
        self._sums[key] = found = spread.weight * self._deviation(shift, squares)
        return found

    def _deviation(self, shift: Floats, squares: Floats) -> Floats:
        count = self.step.count
        result: Floats = np.sqrt(np.maximum(squares / count - (shift / count) ** 2, 0.0))
        return result

    def _reserves(self, *held: Held | None) -> Floats:
        step, s = self.step, self.state
        shift: Floats = np.zeros((1, 1))
        squares: Floats = np.full((1, 1), step.reserve_squares)
        for after in held:
            if after is not None:
                delta = (after.reserve - s.reserve_mib[after.node]) * step.reserve_scale[after.node]
                shift = shift + delta
                squares = squares + delta * (2.0 * step.reserve[after.node] + delta)
        deviation = WEIGHTS["reserved_mem_cv"] * self._deviation(shift, squares)
        return deviation + WEIGHTS["reserved_mem_rtotal"] * shift

    def _offline(self, sides: tuple[int, int, int, int, int, int]) -> Floats:
        """Sides that leave offline nodes of the scope."""
        dark = ~self.state.online & self.step.in_scope
        if not dark.any():
            return np.zeros((1, 1))
        p1, p2, s1, s2, _, _ = sides
        both = (p1 + p2) * dark[self.P]
        primaries = p1 * dark[self.P]
        if self.has_second:
            both = both + (s1 + s2) * dark[self.S]
            primaries = primaries + s1 * dark[self.S]
        change: Floats = WEIGHTS["offline_all_cnt"] * both + WEIGHTS["offline_pri_cnt"] * primaries
        return change * self.checks.real

    def _failing(self, sides: tuple[int, int, int, int, int, int], *held: Held | None) -> Floats:
        """Instances on online nodes that fail N+1."""
        s = self.state
        change: Floats = np.zeros((1, 1))
        for after, first, second in zip(held, sides[::2], sides[1::2], strict=True):
            if after is not None:
                node = after.node
                here = s.primaries[node] + s.secondaries[node]
                then = (here + (first + second) * self.checks.real) * after.failing
                change = change + (then - here * s.failing[node]) * self.step.counted[node]
        return WEIGHTS["n1_cnt"] * change

    def _tags(self, primary: Ints) -> Floats:
        """Exclusion tags that meet others on the new primary and met some on the old, by node and by location."""
        s, step, counted = self.state, self.step, self.step.counted
        mine = s.exclusion[self.rows]
        left = (mine * (s.node_exclusion[self.p] > 1)).sum(axis=1)[:, None] * counted[self.P]
        joined: Floats = self._times(mine, (s.node_exclusion > 0).astype(float), primary) * counted[primary]
        change: Floats = WEIGHTS["pri_tags_score"] * (joined - left)
        if step.by_location is not None:
            real = mine * self.checks.real
            old = s.location[self.p] * counted[self.P]
            leaving = (real @ (step.by_location > 1).T.astype(float)) * old
            coming = (real @ (step.by_location > 0).T.astype(float)) * (1.0 - old)
            places = s.location * counted[:, None]
            change = change + WEIGHTS["location_exclusion_score"] * (
                self._times(coming, places, primary)
                + self._times(leaving, places, primary)
                - leaving.sum(axis=1)[:, None]
            )
        return change

    def _location(self, primary: Ints, second: Ints) -> Floats:
        """Places shared by both nodes, and wishes not granted."""
        s = self.state
        places = s.location
        wishes = s.desired_count[self.rows][:, None] - self._times(s.desired[self.rows], places, primary)
        shared: Floats = np.zeros((1, 1))
        if self.has_second:
            if primary is self.T:
                shared = self._times(places[second[:, 0]], places, self.T)
            elif second is self.T:
                shared = self._times(places[primary[:, 0]], places, self.T)
            else:
                shared = (places[primary[:, 0]] * places[second[:, 0]]).sum(axis=1)[:, None]
        after = (wishes + shared) * self.step.counted[primary] * self.checks.real
        before = self.step.location_scores[self.rows][:, None] * self.step.counted[self.P]
        return WEIGHTS["location_score"] * (after - before)

    def _times(self, mine: Floats, by_node: Floats, nodes: Ints) -> Floats:
        """Products of the rows' vectors and the nodes': with every target, or with each row's own node."""
        if nodes is self.T:
            product: Floats = mine @ by_node[self.step.targets].T
            return product
        own: Floats = (mine * by_node[nodes[:, 0]]).sum(axis=1)[:, None]
        return own

"""Balancing: closed-form scores are the scores, steps lower them, and the traps of the rules hold."""

from __future__ import annotations

import numpy as np
import pytest

from ganeti.placement.balance import Balancer, Rules
from ganeti.placement.moves import Kind, result
from ganeti.placement.score import WEIGHTS, Scorer
from ganeti.placement.state import Options, State
from ganeti.placement.text import parse
from tests.unit.placement.clusters import text_file

KINDS_OF_CLUSTERS: dict[str, dict[str, object]] = {
    "drbd": {},
    "mixed": {"mixed": True},
    "tags": {"tags": True, "mixed": True},
    "offline": {"offline": 2, "tags": True},
    "forthcoming": {"forthcoming": True, "mixed": True},
    "groups": {"groups": 2, "mixed": True, "offline": 1},
    "everything": {"groups": 2, "mixed": True, "offline": 1, "tags": True, "forthcoming": True},
}


def made(name: str, seed: int = 1, *, nodes: int = 9, instances: int = 60) -> State:
    return State(parse(text_file(seed, nodes=nodes, instances=instances, skew=1.5, **KINDS_OF_CLUSTERS[name])))  # type: ignore[arg-type]


def a_group(state: State) -> np.ndarray:
    return np.flatnonzero(state.group == 0)


@pytest.mark.parametrize("name", KINDS_OF_CLUSTERS)
@pytest.mark.parametrize("ignore_soft_errors", [False, True])
def test_every_candidate_has_the_score_that_it_gets_from_scratch(name: str, ignore_soft_errors: bool) -> None:
    state = made(name)
    balancer = Balancer(state, a_group(state), Rules(ignore_soft_errors=ignore_soft_errors))
    seen = 0
    for rows, kind, scores in balancer.candidates():
        for row, column in np.argwhere(np.isfinite(scores))[::7]:
            i = int(rows[row])
            after = result(kind, int(state.primary[i]), int(state.secondary[i]), int(balancer.targets[column]))
            assert balancer.score_after(i, after) == pytest.approx(scores[row, column], abs=1e-9)
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("name", KINDS_OF_CLUSTERS)
def test_steps_lower_the_score_and_leave_true_arrays(name: str) -> None:
    state = made(name)
    balancer = Balancer(state, a_group(state))
    last = balancer.score
    steps = 0
    for step in balancer.steps(15):
        assert step.score < last
        last, steps = step.score, steps + 1
    assert steps > 2
    assert Scorer(state, a_group(state)).score() == last
    assert np.allclose(state.primaries, np.bincount(state.primary[~state.forthcoming], minlength=9))


def test_a_move_taken_back_leaves_every_array_as_it_was() -> None:
    state = made("everything")
    before = {name: value.copy() for name, value in vars(state).items() if isinstance(value, np.ndarray)}
    balancer = Balancer(state)
    for i in range(0, len(state.primary), 5):
        balancer.score_after(i, (int(state.primary[i] + 1) % 9, int(state.secondary[i])))
    for name, value in before.items():
        assert np.array_equal(value, getattr(state, name)), name


def test_a_balanced_group_is_left_alone_and_so_is_an_empty_one() -> None:
    state = made("drbd")
    done = list(Balancer(state).steps())
    assert done
    assert list(Balancer(state).steps()) == []
    assert list(Balancer(state, np.array([], dtype=int)).steps()) == []


def test_without_online_nodes_there_is_no_score() -> None:
    cluster = parse(text_file(1, nodes=4, instances=8))
    state = State(cluster, Options(offline=frozenset(range(4))))
    assert Scorer(state).components() == {}
    assert Scorer(state).score() == 0
    assert list(Balancer(state).steps()) == []


def test_diskless_instances_stay_and_so_do_those_who_must_not_be_balanced() -> None:
    state = made("mixed")
    balancer = Balancer(state)
    movable = [state.cluster.instances[i] for i in balancer.movable]
    assert movable
    assert not [i for i in movable if i.template in ("diskless", "plain", "file") or not i.auto_balance]


def test_migration_may_be_restricted_but_a_failover_is_tried_even_then() -> None:
    state = made("drbd")
    kinds = {
        kind for _, kind, _ in Balancer(state, rules=Rules(restricted_migration=True, disk_moves=False)).candidates()
    }
    assert kinds == {Kind.FAILOVER}
    only_disks = {kind for _, kind, _ in Balancer(state, rules=Rules(instance_moves=False)).candidates()}
    assert only_disks == {Kind.REPLACE_SECONDARY}


def test_evacuation_empties_offline_nodes_and_moves_nobody_else() -> None:
    state = made("offline")
    dark = set(np.flatnonzero(~state.online).tolist())
    for step in Balancer(state, rules=Rules(evac_mode=True)).steps():
        assert dark & set(step.before)
    assert not dark & {*state.primary.tolist(), *state.secondary.tolist()}


def test_load_counts_in_instances_unless_it_is_ignored() -> None:
    cluster = parse(text_file(1, nodes=4, instances=12))
    counted, ignored = Scorer(State(cluster)), Scorer(State(cluster, Options(ignore_utilisation=True)))
    primaries = np.bincount([i.primary for i in cluster.instances], minlength=4)
    assert counted.components()["cpu_load_cv"] == pytest.approx(primaries.std())
    assert ignored.components()["cpu_load_cv"] == 0


def test_a_stopped_instance_uses_no_memory_but_is_reserved_for() -> None:
    text = text_file(1, nodes=2, instances=1).replace("running", "ADMIN_down")
    state = State(parse(text))
    memory = state.cluster.instances[0].memory_mib
    assert state.instance_memory_mib.sum() == 0
    assert state.peers_mib.sum() == memory
    assert State(parse(text.replace("ADMIN_down", "ADMIN_offline"))).peers_mib.sum() == 0


def test_free_memory_equal_to_the_reservation_is_enough() -> None:
    text = text_file(1, nodes=2, instances=1)
    state = State(parse(text))
    node, memory = int(state.secondary[0]), state.cluster.instances[0].memory_mib
    free = f"|1024|{int(state.measured_free_mib[node])}|"
    lines = text.split("\n")
    row = next(k for k, line in enumerate(lines) if line.startswith(f"node{node}."))
    for left, fails in ((memory, False), (memory - 1, True)):
        changed = [*lines[:row], lines[row].replace(free, f"|1024|{left}|"), *lines[row + 1 :]]
        assert bool(State(parse("\n".join(changed))).failing[node]) is fails


def test_the_weights_are_those_of_the_specification() -> None:
    assert len(WEIGHTS) == 20
    assert sum(WEIGHTS.values()) == pytest.approx(34.25)

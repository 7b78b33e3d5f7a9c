"""Any history of requests, against rules that can be said in a line and a table that is slow but plain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ganeti.locks.table import LockTable

NAMES = st.frozensets(st.sampled_from(["cluster", "a", "b", "c", "d"]), max_size=2)
PRIORITIES = st.integers(-3, 3)
AGE_S = 10.0


class Ask(NamedTuple):
    owner: int
    shared: frozenset[str]
    exclusive: frozenset[str]
    priority: int
    arrived_s: float
    arrival: int
    exempt: bool

    @property
    def place(self) -> tuple[float, int]:
        return self.arrived_s + AGE_S * self.priority, self.arrival


def conflict(one: Ask, other: Ask) -> bool:
    return bool(one.exclusive & (other.shared | other.exclusive) or other.exclusive & one.shared)


class PlainTable:
    """The rules without an index: after each event everybody is compared with everybody."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.holding: dict[int, Ask] = {}
        self.waiting: dict[int, Ask] = {}

    def settle(self) -> list[int]:
        granted = []
        before: list[Ask] = []
        for ask in self.in_order():
            counted = sum(not held.exempt for held in self.holding.values())
            room = ask.exempt or self.limit is None or counted < self.limit
            if room and not any(conflict(ask, other) for other in [*self.holding.values(), *before]):
                self.holding[ask.owner] = self.waiting.pop(ask.owner)
                granted.append(ask.owner)
            else:
                before.append(ask)
        return granted

    def in_order(self) -> Iterable[Ask]:
        return sorted(self.waiting.values(), key=lambda ask: ask.place)


class Locking(RuleBasedStateMachine):
    @initialize(limit=st.sampled_from([None, 1, 2, 3]))
    def start(self, limit: int | None) -> None:
        self.table = LockTable(limit=limit, age_s=AGE_S)
        self.plain = PlainTable(limit)
        self.now_s = 0.0
        self.last = 0

    def one_of(self, data: st.DataObject, owners: Iterable[int]) -> int:
        return data.draw(st.sampled_from(sorted(owners)))

    @rule(
        asks=st.lists(
            st.tuples(NAMES, NAMES, PRIORITIES, st.sampled_from([False, False, True]), st.integers(0, 15)),
            min_size=1,
            max_size=4,
        )
    )
    def request(self, asks: list[tuple[frozenset[str], frozenset[str], int, bool, int]]) -> None:
        for shared, exclusive, priority, exempt, later_s in asks:
            self.last += 1
            self.now_s += later_s
            granted = self.table.request(
                self.last, shared=shared, exclusive=exclusive, priority=priority, now_s=self.now_s, exempt=exempt
            )
            self.plain.waiting[self.last] = Ask(
                self.last, shared - exclusive, exclusive, priority, self.now_s, self.last, exempt
            )
            assert self.plain.settle() == [self.last] * granted

    @precondition(lambda self: self.plain.holding)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        owner = self.one_of(data, self.plain.holding)
        granted = self.table.release(owner)
        del self.plain.holding[owner]
        assert granted == self.plain.settle()

    @precondition(lambda self: self.plain.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        owner = self.one_of(data, self.plain.waiting)
        granted = self.table.cancel(owner)
        del self.plain.waiting[owner]
        assert granted == self.plain.settle()

    @precondition(lambda self: self.plain.waiting)
    @rule(data=st.data(), priority=PRIORITIES)
    def change_priority(self, data: st.DataObject, priority: int) -> None:
        owner = self.one_of(data, self.plain.waiting)
        granted = self.table.change_priority(owner, priority)
        self.plain.waiting[owner] = self.plain.waiting[owner]._replace(priority=priority)
        assert granted == self.plain.settle()

    @rule(limit=st.sampled_from([None, 0, 1, 2, 3]))
    def change_limit(self, limit: int | None) -> None:
        assume(limit != self.plain.limit)
        granted = self.table.change_limit(limit)
        self.plain.limit = limit
        assert granted == self.plain.settle()

    @invariant()
    def nobody_holds_what_another_has(self) -> None:
        held = list(self.plain.holding.values())
        assert not any(conflict(one, other) for index, one in enumerate(held) for other in held[:index])

    @invariant()
    def table_and_plain_table_agree(self) -> None:
        assert sorted(self.table.holding()) == sorted(self.plain.holding)
        assert self.table.waiting() == [ask.owner for ask in self.plain.in_order()]

    @invariant()
    def the_report_tells_what_is(self) -> None:
        asks = {**self.plain.holding, **self.plain.waiting}
        names = sorted({name for ask in asks.values() for name in ask.shared | ask.exclusive})
        rows = self.table.rows()
        assert [row.name for row in rows] == names
        for row in rows:
            holders = [ask for ask in self.plain.holding.values() if row.name in ask.shared | ask.exclusive]
            assert sorted(row.owners) == sorted(ask.owner for ask in holders)
            assert row.mode == (None if not holders else "exclusive" if row.name in holders[0].exclusive else "shared")
            queue = [ask for ask in self.plain.in_order() if row.name in ask.shared | ask.exclusive]
            shown = [(mode, owner) for mode, owners in row.pending for owner in owners]
            assert shown == [("exclusive" if row.name in ask.exclusive else "shared", ask.owner) for ask in queue]

    def teardown(self) -> None:
        """Nobody starves: when every holder ends in its time, everybody has had its turn."""
        if not hasattr(self, "table"):
            return
        self.table.change_limit(None)
        left = set(self.table.waiting()) | set(self.table.holding())
        while holding := self.table.holding():
            self.table.release(holding[-1])
            left.discard(holding[-1])
        assert left == set()
        assert self.table.rows() == []


TestLocking = Locking.TestCase
# Many rules need a waiter or a holder first; that a run finds few at its start says nothing against it.
TestLocking.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


REQUESTS = st.tuples(NAMES, NAMES, PRIORITIES, st.integers(1, 3))


@given(priority=PRIORITIES, crowd=st.lists(REQUESTS, min_size=1, max_size=6), limit=st.none() | st.integers(1, 3))
@settings(deadline=None)
def test_an_endless_crowd_of_the_urgent_does_not_keep_anybody_waiting_for_ever(
    priority: int, crowd: list[tuple[frozenset[str], frozenset[str], int, int]], limit: int | None
) -> None:
    """One request comes in every second and holds for some seconds; one that needs everything waits among them."""
    table = LockTable(limit=limit, age_s=AGE_S)
    patient = 0
    ends: dict[int, int] = {}
    passes_until_s = (priority + 3) * int(AGE_S)
    everything = ["cluster", "a", "b", "c", "d"]
    for now_s in range(5 * (passes_until_s + 2)):
        for owner in [
            owner for owner in table.holding() if ends.setdefault(owner, now_s + holds(crowd, owner)) <= now_s
        ]:
            table.release(owner)
        shared, exclusive, urgency, _ = crowd[now_s % len(crowd)]
        table.request(now_s + 1, shared=shared, exclusive=exclusive, priority=urgency, now_s=now_s)
        if now_s == 0:
            table.request(patient, exclusive=everything, priority=priority, now_s=now_s)
        if table.is_holding(patient):
            return
    raise AssertionError(f"still waits behind {table.waiting()}")


def holds(crowd: list[tuple[frozenset[str], frozenset[str], int, int]], owner: int) -> int:
    """How many seconds the owner, which came in second `owner - 1`, holds its locks."""
    return crowd[(owner - 1) % len(crowd)][3]

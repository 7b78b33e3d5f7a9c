"""Who gets a lock, and who has to look at whom for it."""

from __future__ import annotations

import pytest

from ganeti.base.errors import Bug
from ganeti.locks.table import LockRow, LockTable


def test_readers_share_and_a_writer_is_alone() -> None:
    table = LockTable()
    assert table.request(1, shared=["a"])
    assert table.request(2, shared=["a"])
    assert not table.request(3, exclusive=["a"])
    assert table.release(1) == []
    assert table.release(2) == [3]
    assert not table.request(4, shared=["a"])
    assert table.release(3) == [4]


def test_a_reader_does_not_pass_a_writer_that_waits() -> None:
    table = LockTable()
    table.request(1, shared=["a"])
    table.request(2, exclusive=["a"])
    assert not table.request(3, shared=["a"])
    assert table.release(1) == [2]
    assert table.release(2) == [3]


def test_readers_behind_a_writer_that_gives_up_come_in_together() -> None:
    table = LockTable()
    table.request(1, shared=["a"])
    table.request(2, exclusive=["a"])
    for owner in (3, 4, 5):
        table.request(owner, shared=["a"])
    assert table.cancel(2) == [3, 4, 5]


def test_all_names_come_at_once_or_none() -> None:
    table = LockTable()
    table.request(1, exclusive=["a"])
    assert not table.request(2, exclusive=["a", "b"])
    assert table.holding() == [1]
    assert not table.request(3, exclusive=["b"]), "an earlier waiter wants b too"
    assert table.request(4, exclusive=["c"])
    assert table.release(1) == [2]
    assert table.release(2) == [3]


def test_requests_for_many_names_in_any_order_do_not_deadlock() -> None:
    table = LockTable()
    assert table.request(1, exclusive=["a", "b"])
    table.request(2, exclusive=["b", "c"])
    table.request(3, exclusive=["c", "a"])
    assert [table.release(1), table.release(2), table.release(3)] == [[2], [3], []]
    assert table.rows() == []


def test_the_more_urgent_goes_first_and_equals_by_arrival() -> None:
    table = LockTable()
    table.request(1, exclusive=["a"])
    for owner, priority in ((2, 0), (3, -10), (4, 0), (5, -10)):
        table.request(owner, exclusive=["a"], priority=priority)
    assert table.waiting() == [3, 5, 2, 4]


def test_waiting_long_makes_up_for_low_priority() -> None:
    table = LockTable(age_s=60)
    table.request(1, exclusive=["a"], now_s=0)
    table.request(2, exclusive=["a"], priority=10, now_s=0)
    table.request(3, exclusive=["a"], priority=0, now_s=599)
    table.request(4, exclusive=["a"], priority=0, now_s=601)
    assert table.waiting() == [3, 2, 4]


def test_a_changed_priority_keeps_the_time_waited() -> None:
    table = LockTable(age_s=60)
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["a"], now_s=5)
    table.request(3, exclusive=["a"], now_s=10)
    table.request(4, exclusive=["a"], now_s=15)
    table.change_priority(3, -1)
    table.change_priority(4, -1)
    assert table.waiting() == [3, 4, 2]
    table.change_priority(3, 0)
    table.change_priority(4, 0)
    assert table.waiting() == [2, 3, 4]


def test_moving_a_waiter_back_lets_in_who_stood_behind() -> None:
    table = LockTable()
    table.request(1, shared=["a"])
    table.request(2, exclusive=["a"])
    table.request(3, shared=["a"])
    assert table.change_priority(2, 5) == [3]
    assert table.change_priority(1, 5) == [], "who holds cannot be moved"
    assert table.change_priority(99, 5) == []


def test_the_limit_holds_up_the_last_and_exempt_ones_do_not_count() -> None:
    table = LockTable(limit=2)
    assert table.request(1, exclusive=["a"])
    assert table.request(2, exclusive=["b"], exempt=True)
    assert table.request(3, exclusive=["c"])
    assert not table.request(4, exclusive=["d"])
    assert not table.request(5, exclusive=["e"], priority=-5)
    assert table.request(6, exclusive=["f"], exempt=True)
    assert table.release(2) == []
    assert table.release(1) == [5]
    assert table.change_limit(3) == [4]
    assert table.change_limit(1) == []
    assert sorted(table.holding()) == [3, 4, 5, 6]


def test_who_waits_for_room_keeps_its_place_on_its_names() -> None:
    table = LockTable(limit=1)
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["b"])
    assert not table.request(3, exclusive=["b"], exempt=True)
    assert table.release(1) == [2]
    assert table.release(2) == [3]


def test_an_urgent_newcomer_passes_one_that_waits_for_room() -> None:
    table = LockTable(limit=1)
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["b"])
    table.request(3, exclusive=["b"], priority=-1)
    assert table.release(1) == [3]
    assert table.release(3) == [2]


def test_room_does_not_let_one_pass_an_urgent_newcomer_that_is_blocked_elsewhere() -> None:
    table = LockTable(limit=2)
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["c"])
    assert not table.request(3, exclusive=["b"]), "no room"
    assert not table.request(4, exclusive=["b", "c"], priority=-1), "2 has c"
    assert table.release(1) == []
    assert table.release(2) == [4]
    assert table.release(4) == [3]


def test_one_made_less_urgent_while_it_waits_for_room_loses_its_place() -> None:
    table = LockTable(limit=1)
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["b"])
    table.request(3, exclusive=["c"])
    assert table.change_priority(2, 5) == []
    assert table.release(1) == [3]


def test_a_request_for_nothing_only_needs_room() -> None:
    table = LockTable(limit=1)
    assert table.request(1)
    assert not table.request(2)
    assert table.release(1) == [2]


def test_a_name_asked_in_both_modes_is_exclusive() -> None:
    table = LockTable()
    assert table.request(1, shared=["a"], exclusive=["a"])
    assert not table.request(2, shared=["a"])


def test_an_owner_has_one_request_at_a_time() -> None:
    table = LockTable()
    table.request(1, exclusive=["a"])
    table.request(2, exclusive=["a"])
    for owner in (1, 2):
        with pytest.raises(Bug, match=f"owner {owner} asks for locks while it has a request"):
            table.request(owner, shared=["b"])
    with pytest.raises(Bug, match="does not hold"):
        table.release(2)
    with pytest.raises(Bug, match="does not wait"):
        table.cancel(1)


def test_the_report_shows_holders_and_the_queue_in_order() -> None:
    table = LockTable()
    table.request(1, shared=["cluster"], exclusive=["instance/web1"])
    table.request(2, shared=["cluster"])
    table.request(3, shared=["cluster"], exclusive=["instance/web1"])
    table.request(4, exclusive=["cluster"])
    table.request(5, shared=["cluster"])
    table.request(6, shared=["cluster"])
    table.request(7, exclusive=["cluster"])
    assert table.rows() == [
        LockRow(
            name="cluster",
            mode="shared",
            owners=(1, 2),
            pending=(("shared", (3,)), ("exclusive", (4,)), ("shared", (5, 6)), ("exclusive", (7,))),
        ),
        LockRow(name="instance/web1", mode="exclusive", owners=(1,), pending=(("exclusive", (3,)),)),
    ]


MANY = 10_000


def test_ten_thousand_requests_for_one_name_cost_a_few_looks_each() -> None:
    table = LockTable()
    for owner in range(MANY):
        table.request(owner, exclusive=["a"], priority=owner % 7)
    released = 0
    while holding := table.holding():
        table.release(holding[0])
        released += 1
    assert released == MANY
    assert table.looks <= 4 * MANY


def test_ten_thousand_requests_on_names_of_their_own_do_not_see_each_other() -> None:
    table = LockTable()
    for owner in range(MANY):
        assert table.request(owner, shared=["cluster"], exclusive=[f"instance/{owner}"])
    for owner in range(MANY):
        assert table.release(owner) == []
    assert table.looks <= 5 * MANY
    assert table.rows() == []


def test_waiters_elsewhere_cost_nothing() -> None:
    table = LockTable()
    table.request(0, exclusive=["busy"])
    for owner in range(1, MANY):
        table.request(owner, shared=["cluster"], exclusive=["busy", f"instance/{owner}"])
    before = table.looks
    for owner in range(MANY, MANY + 1_000):
        assert table.request(owner, shared=["cluster"], exclusive=[f"instance/{owner}"])
        table.release(owner)
    assert table.looks - before <= 5 * 1_000


def test_many_held_up_by_the_limit_are_not_looked_at_for_each_that_goes() -> None:
    table = LockTable(limit=20)
    for owner in range(MANY):
        table.request(owner, shared=["cluster"], exclusive=[f"instance/{owner}"])
    released = 0
    while holding := table.holding():
        table.release(holding[0])
        released += 1
    assert released == MANY
    assert table.looks <= 8 * MANY

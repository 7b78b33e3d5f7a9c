"""Callbacks, cancellation and the context manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ganeti.base.errors import Bug
from ganeti.contract.operation import Locks
from ganeti.locks.manager import LockManager
from ganeti.locks.table import LockTable

A = Locks(exclusive=frozenset({"a"}))
READ_A = Locks(shared=frozenset({"a"}))


class Told:
    """Notes who was told, in order."""

    def __init__(self) -> None:
        self.owners: list[int] = []

    def by(self, owner: int) -> Callable[[], None]:
        return lambda: self.owners.append(owner)


async def turn() -> None:
    await asyncio.sleep(0)


async def test_who_is_granted_is_told_in_a_later_turn() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    assert told.owners == []
    await turn()
    assert told.owners == [1]
    manager.request(2, A, 0, told.by(2))
    await turn()
    assert told.owners == [1]
    manager.release(1)
    assert told.owners == [1]
    await turn()
    assert told.owners == [1, 2]


async def test_several_are_told_in_the_order_of_the_queue() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    for owner in (5, 3, 9, 2):
        manager.request(owner, READ_A, 0, told.by(owner))
    manager.request(7, READ_A, -1, told.by(7))
    await turn()
    manager.release(1)
    await turn()
    assert told.owners == [1, 7, 5, 3, 9, 2]


async def test_a_cancelled_request_is_never_told() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    manager.request(2, A, 0, told.by(2))
    await turn()
    assert manager.cancel(2)
    manager.release(1)
    await turn()
    assert told.owners == [1]
    assert manager.rows() == []


async def test_one_granted_but_not_told_can_still_be_cancelled_and_makes_way() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    manager.request(2, A, 0, told.by(2))
    assert manager.cancel(1)
    await turn()
    assert told.owners == [2]


async def test_one_that_was_told_cannot_be_cancelled() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    await turn()
    assert not manager.cancel(1)
    assert manager.holding() == [1]
    assert not manager.cancel(99)


async def test_one_released_before_it_was_told_is_not_told() -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    manager.release(1)
    await turn()
    assert told.owners == []
    with pytest.raises(Bug):
        manager.release(1)


async def test_priority_and_limit_can_change_while_others_wait() -> None:
    manager, told = LockManager(LockTable(limit=0)), Told()
    for owner in (1, 2, 3):
        manager.request(owner, Locks(exclusive=frozenset({str(owner)})), 0, told.by(owner))
    manager.change_priority(3, -10)
    manager.change_limit(2)
    await turn()
    assert told.owners == [3, 1]
    assert manager.waiting() == [2]


async def test_hold_keeps_others_out_until_its_end() -> None:
    manager = LockManager()
    inside = 0
    most = 0

    async def work(owner: int) -> None:
        nonlocal inside, most
        async with manager.hold(owner, A):
            inside += 1
            most = max(most, inside)
            await turn()
            inside -= 1

    async with asyncio.timeout(60):
        await asyncio.gather(*map(work, range(20)))
    assert most == 1
    assert manager.rows() == []


async def test_an_error_inside_hold_gives_the_locks_back() -> None:
    manager = LockManager()
    with pytest.raises(RuntimeError, match="inside"):
        async with manager.hold(1, A):
            raise RuntimeError("inside")
    assert manager.rows() == []


async def enter(manager: LockManager, owner: int) -> None:
    async with manager.hold(owner, A):
        await asyncio.Event().wait()


async def test_a_task_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    manager = LockManager()
    async with manager.hold(1, A):
        task = asyncio.ensure_future(enter(manager, 2))
        await turn()
        assert manager.waiting() == [2]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert manager.waiting() == []
    assert manager.rows() == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_task_cancelled_at_the_moment_of_its_grant_leaves_nothing_behind(turns: int) -> None:
    manager, told = LockManager(), Told()
    manager.request(1, A, 0, told.by(1))
    await turn()
    task = asyncio.ensure_future(enter(manager, 2))
    await turn()
    manager.release(1)
    for _ in range(turns):
        await turn()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert manager.rows() == []
    manager.request(3, A, 0, told.by(3))
    await turn()
    assert told.owners == [1, 3]

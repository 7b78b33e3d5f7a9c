"""What every engine of the store port does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ganeti.base.errors import Bug, Unavailable
from ganeti.contract.store import ABSENT, Change, Compacted, Conflict, Entry, Revision, Snapshot, Store, Txn
from tests.contract.store.worlds import World

LONG_S = 60.0


def put(**values: bytes) -> Txn:
    return Txn(put=values)


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    async with asyncio.timeout(LONG_S):
        return [await anext(changes) for _ in range(count)]


async def test_a_new_store_is_empty_at_revision_zero(world: World) -> None:
    store = await world.open()
    assert await store.read() == Snapshot(revision=Revision(0), entries={})
    assert await store.get("a") is None


async def test_a_commit_writes_and_deletes_at_one_revision(world: World) -> None:
    store = await world.open()
    assert await store.commit(put(a=b"1", b=b"2")) == 1
    assert await store.commit(Txn(put={"a": b"3", "c": b"4"}, delete=frozenset({"b"}))) == 2
    assert await store.read() == Snapshot(
        revision=Revision(2), entries={"a": Entry(b"3", Revision(2)), "c": Entry(b"4", Revision(2))}
    )
    assert await store.get("b") is None
    assert await store.get("c") == Entry(b"4", Revision(2))


async def test_the_revision_of_a_key_is_that_of_its_last_change(world: World) -> None:
    store = await world.open()
    await store.commit(put(a=b"1"))
    await store.commit(put(b=b"1"))
    await store.commit(put(b=b"1"))
    assert {key: entry.revision for key, entry in (await store.read()).entries.items()} == {"a": 1, "b": 3}


async def test_a_commit_without_effect_has_no_revision_of_its_own(world: World) -> None:
    store = await world.open()
    await store.commit(put(a=b"1"))
    assert await store.commit(Txn(expect={"a": Revision(1)})) == 1
    assert await store.commit(Txn(delete=frozenset({"not there"}))) == 1
    assert await store.commit(put(a=b"2")) == 2


@pytest.mark.parametrize(
    "prefix, found",
    [
        ("", ["a", "job/1", "job/10", "job/\U0010ffff", "job0", "joc", "ø/1", "\ud7ff/x"]),
        ("job/", ["job/1", "job/10", "job/\U0010ffff"]),
        ("job/1", ["job/1", "job/10"]),
        ("job/\U0010ffff", ["job/\U0010ffff"]),
        ("ø", ["ø/1"]),
        ("\ud7ff", ["\ud7ff/x"]),
        ("\U0010ffff", []),
        ("k", []),
        ("%", []),
    ],
)
async def test_a_prefix_selects_the_keys_that_begin_with_it(world: World, prefix: str, found: list[str]) -> None:
    store = await world.open()
    keys = ["a", "job/1", "job/10", "job/\U0010ffff", "job0", "joc", "ø/1", "\ud7ff/x"]
    await store.commit(Txn(put=dict.fromkeys(keys, b"")))
    assert list((await store.read(prefix)).entries) == found


async def test_an_expectation_that_does_not_hold_changes_nothing(world: World) -> None:
    store = await world.open()
    await store.commit(put(a=b"1"))
    before = await store.read()
    txn = Txn(expect={"a": Revision(1), "b": Revision(7)}, put={"a": b"2", "c": b"3"}, delete=frozenset({"a2"}))
    with pytest.raises(Conflict) as caught:
        await store.commit(txn)
    assert (caught.value.key, caught.value.expected, caught.value.found) == ("b", 7, ABSENT)
    assert await store.read() == before


async def test_absent_is_expected_and_met(world: World) -> None:
    store = await world.open()
    claim = Txn(expect={"name/web1": ABSENT}, put={"name/web1": b"me"})
    assert await store.commit(claim) == 1
    with pytest.raises(Conflict):
        await store.commit(claim)
    await store.commit(Txn(delete=frozenset({"name/web1"})))
    assert await store.commit(claim) == 3


async def test_of_many_that_claim_a_name_one_gets_it(world: World) -> None:
    store = await world.open()
    claims = [Txn(expect={"name": ABSENT}, put={"name": str(n).encode()}) for n in range(50)]
    answers = await asyncio.gather(*map(store.commit, claims), return_exceptions=True)
    assert answers[0] == 1
    assert all(isinstance(answer, Conflict) for answer in answers[1:])
    assert await store.get("name") == Entry(b"0", Revision(1))


async def test_a_conflict_does_not_spoil_the_commits_beside_it(world: World) -> None:
    store = await world.open()
    txns = [
        Txn(put={f"good/{n}": b""}) if n % 3 else Txn(expect={"x": Revision(99)}, put={f"bad/{n}": b""})
        for n in range(60)
    ]
    answers = await asyncio.gather(*map(store.commit, txns), return_exceptions=True)
    good = [answer for n, answer in enumerate(answers) if n % 3]
    assert good == list(range(1, 41))
    assert all(isinstance(answer, Conflict) for answer in answers[::3])
    assert (await store.read("bad/")).entries == {}


async def test_commits_are_answered_in_the_order_they_came(world: World) -> None:
    store = await world.open()
    order: list[int] = []

    async def commit(n: int) -> None:
        revision = await store.commit(put(same=str(n).encode()))
        order.append(n)
        assert revision == n + 1

    await asyncio.gather(*map(commit, range(2_500)))
    assert order == list(range(2_500))
    assert await store.get("same") == Entry(b"2499", Revision(2_500))


async def test_a_stream_of_commits_does_not_hold_up_the_one_that_came_before(world: World) -> None:
    store = await world.open()
    done = asyncio.Event()
    rounds = 0

    async def stream(n: int) -> None:
        nonlocal rounds
        while not done.is_set():
            await store.commit(Txn(put={f"busy/{n}": b""}))
            rounds += 1

    async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(stream(n))
        while rounds < 100:
            await asyncio.sleep(0)
        before = rounds
        await store.commit(put(one=b""))
        assert rounds - before <= 60, "at most the batch under way and its own"
        done.set()


async def test_a_commit_cancelled_before_its_turn_does_not_happen(world: World) -> None:
    store = await world.open()
    first = asyncio.ensure_future(store.commit(put(a=b"1")))
    second = asyncio.ensure_future(store.commit(put(b=b"1")))
    await asyncio.sleep(0)
    second.cancel()
    assert await first == 1
    assert (await store.read()).entries.keys() == {"a"}


async def test_a_transaction_no_store_can_apply_is_a_bug_and_nobody_elses_problem(world: World) -> None:
    store = await world.open()
    other = asyncio.ensure_future(store.commit(put(a=b"1")))
    with pytest.raises(Bug, match="writes and deletes x"):
        await store.commit(Txn(put={"x": b""}, delete=frozenset({"x"})))
    with pytest.raises(Bug, match="cannot be a key"):
        await store.commit(Txn(put={"\ud800": b""}))
    with pytest.raises(Bug, match="is str, not bytes"):
        await store.commit(Txn(put={"x": "text"}))  # type: ignore[dict-item]
    assert await other == 1


async def test_values_of_any_bytes_and_size_come_back(world: World) -> None:
    store = await world.open()
    values = {"empty": b"", "nul": b"\0\xff", "large": bytes(range(256)) * 20_000}
    await store.commit(Txn(put=values))
    assert {key: entry.value for key, entry in (await store.read()).entries.items()} == values


async def test_a_reopened_store_goes_on_where_it_was(world: World) -> None:
    store = await world.open()
    await store.commit(put(a=b"1", b=b"1"))
    await store.commit(Txn(delete=frozenset({"b"})))
    before = await store.read()
    await store.close()
    store = await world.open()
    assert await store.read() == before
    assert await store.commit(Txn(expect={"a": Revision(1)}, put={"a": b"2"})) == 3


async def test_a_crash_keeps_what_was_acknowledged_and_no_half_of_anything(world: World) -> None:
    store = await world.open()
    acknowledged: set[int] = set()

    async def commit(n: int, store: Store) -> None:
        await store.commit(Txn(put={f"left/{n}": b"", f"right/{n}": b""}))
        acknowledged.add(n)

    for life in range(5):
        commits = [asyncio.ensure_future(commit(life * 100 + n, store)) for n in range(100)]
        async with asyncio.timeout(LONG_S):
            await commits[life * 7]
        at_crash = set(acknowledged)
        await world.crash(store)
        await asyncio.gather(*commits, return_exceptions=True)
        store = await world.open()
        snapshot = await store.read()
        left = {key.removeprefix("left/") for key in snapshot.entries if key.startswith("left/")}
        right = {key.removeprefix("right/") for key in snapshot.entries if key.startswith("right/")}
        assert left == right
        assert {str(n) for n in at_crash} <= left
        assert snapshot.revision == len(left)
        acknowledged = {int(n) for n in left}


async def test_a_second_process_is_refused_until_the_first_has_gone(world: World) -> None:
    first = await world.open()
    await first.commit(put(a=b"1"))
    with pytest.raises(Unavailable, match="in use by"):
        await world.open()
    assert await first.commit(put(a=b"2")) == 2, "the first is not disturbed"
    await first.close()
    second = await world.open()
    assert await second.get("a") == Entry(b"2", Revision(2))


async def test_a_closed_store_is_unavailable(world: World) -> None:
    store = await world.open()
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await store.read()
    with pytest.raises(Unavailable, match="closed"):
        await store.get("a")
    with pytest.raises(Unavailable, match="closed"):
        await store.commit(put(a=b"1"))


async def test_closing_finishes_the_commits_that_wait(world: World) -> None:
    store = await world.open()
    commits = [asyncio.ensure_future(store.commit(Txn(put={str(n): b""}))) for n in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*commits) == list(range(1, 11))
    assert (await (await world.open()).read()).revision == 10


async def test_a_watcher_gets_every_change_below_its_prefix_once_and_in_order(world: World) -> None:
    store = await world.open()
    await store.commit(put(**{"job/0": b"old"}))
    changes = store.watch("job/", after=Revision(1))
    await store.commit(Txn(put={"job/1": b"a", "node/1": b"b"}))
    await store.commit(put(**{"node/2": b"c"}))
    await store.commit(Txn(put={"job/2": b"d"}, delete=frozenset({"job/0"})))
    assert await take(changes, 2) == [
        Change(revision=Revision(2), values={"job/1": b"a"}),
        Change(revision=Revision(4), values={"job/2": b"d", "job/0": None}),
    ]


async def test_snapshot_and_watch_meet_without_gap_or_overlap_under_load(world: World) -> None:
    store = await world.open()
    await store.commit(put(start=b""))

    async def follow(delay_turns: int) -> dict[str, bytes]:
        for _ in range(delay_turns):
            await asyncio.sleep(0)
        snapshot = await store.read()
        state = {key: entry.value for key, entry in snapshot.entries.items()}
        last = snapshot.revision
        changes = store.watch("", after=last)
        while "end" not in state:
            change = await anext(changes)
            assert change.revision == last + 1
            last = change.revision
            for key, value in change.values.items():
                if value is None:
                    del state[key]
                else:
                    state[key] = value
        return state

    async def write(n: int) -> None:
        for round in range(30):
            await store.commit(Txn(put={f"{n}/{round}": b"x"}, delete=frozenset({f"{n}/{round - 2}"})))

    async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as group:
        followers = [group.create_task(follow(turns)) for turns in (0, 1, 10, 100, 1_000)]
        async with asyncio.TaskGroup() as writers:
            for n in range(10):
                writers.create_task(write(n))
        await store.commit(put(end=b""))
    final = {key: entry.value for key, entry in (await store.read()).entries.items()}
    assert [follower.result() for follower in followers] == [final] * 5


async def test_a_watcher_of_what_is_no_longer_kept_is_told_to_start_over(world: World) -> None:
    store = await world.open(keep_changes=3)
    slow = store.watch("", after=Revision(0))
    await store.commit(put(a=b"0"))
    assert (await take(slow, 1))[0].revision == 1
    for n in range(5):
        await store.commit(put(a=str(n).encode()))
    with pytest.raises(Compacted):
        await take(slow, 1)
    assert [change.revision for change in await take(store.watch("", after=Revision(3)), 3)] == [4, 5, 6]


async def test_large_changes_do_not_pile_up_for_slow_watchers(world: World) -> None:
    store = await world.open(keep_bytes=1_000)
    for _ in range(4):
        await store.commit(put(a=b"x" * 400))
    assert len(await take(store.watch("", after=Revision(2)), 2)) == 2
    with pytest.raises(Compacted):
        await take(store.watch("", after=Revision(1)), 1)
    await store.commit(put(a=b"x" * 5_000))
    assert len(await take(store.watch("", after=Revision(4)), 1)) == 1, "the last one is always there"


async def test_changes_from_before_it_was_opened_are_compacted(world: World) -> None:
    store = await world.open()
    await store.commit(put(a=b"1"))
    await store.close()
    store = await world.open()
    with pytest.raises(Compacted):
        await take(store.watch("", after=Revision(0)), 1)
    changes = store.watch("", after=Revision(1))
    await store.commit(put(a=b"2"))
    assert [change.revision for change in await take(changes, 1)] == [2]


async def test_a_watcher_of_a_store_that_closes_gets_the_rest_and_then_an_error(world: World) -> None:
    store = await world.open()
    changes = store.watch("", after=Revision(0))
    await store.commit(put(a=b"1"))
    await take(changes, 1)
    await store.commit(put(a=b"2"))
    await store.close()
    assert [change.revision for change in await take(changes, 1)] == [2]
    with pytest.raises(Unavailable, match="closed"):
        await take(changes, 1)


async def test_a_cancelled_watcher_leaves_the_others_alone(world: World) -> None:
    store = await world.open()
    gone = asyncio.ensure_future(take(store.watch("", after=Revision(0)), 1))
    stays = asyncio.ensure_future(take(store.watch("", after=Revision(0)), 1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await store.commit(put(a=b"1"))
    assert [change.revision for change in await stays] == [1]

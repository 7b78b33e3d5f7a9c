"""The faults of the store in memory: each is what a caller may meet with a real one."""

from __future__ import annotations

import asyncio
import random

import pytest

from ganeti.base.errors import Unavailable
from ganeti.contract.store import Conflict, Entry, OutcomeUnknown, Revision, Txn
from ganeti.store.memory import Crash, Fault, Faults, LostAnswer, MemoryDisk, MemoryStore, Refusal, Rival, Stall


async def open_with(*script: Fault | None) -> tuple[MemoryStore, Faults]:
    faults = Faults()
    faults.script(*script)
    return await MemoryStore.open(MemoryDisk(), faults=faults), faults


def put(key: str) -> Txn:
    return Txn(put={key: b"1"})


async def test_a_rival_makes_a_true_conflict_that_watchers_see() -> None:
    store, _ = await open_with(None, Rival(), Rival())
    await store.commit(put("a"))
    with pytest.raises(Conflict) as caught:
        await store.commit(Txn(expect={"a": Revision(1)}, put={"a": b"2"}))
    assert caught.value.found == 2
    assert await store.get("a") == Entry(b"1", Revision(2))
    changes = store.watch("", after=Revision(1))
    assert (await anext(changes)).values == {"a": b"1"}
    assert await store.commit(put("b")) == 3, "who expects nothing meets no rival"


@pytest.mark.parametrize("done", [True, False])
async def test_a_lost_answer_is_unknown_and_reading_tells(done: bool) -> None:
    store, _ = await open_with(LostAnswer(done=done))
    with pytest.raises(OutcomeUnknown):
        await store.commit(put("a"))
    assert (await store.get("a") is not None) == done


async def test_a_refusal_changes_nothing() -> None:
    store, _ = await open_with(Refusal())
    with pytest.raises(Unavailable) as caught:
        await store.commit(put("a"))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert (await store.read()).revision == 0


async def test_while_it_is_down_nothing_works_and_then_all_does() -> None:
    store, faults = await open_with()
    faults.down = True
    for attempt in (store.read(), store.get("a"), store.commit(put("a"))):
        with pytest.raises(Unavailable, match="does not answer"):
            await attempt
    faults.down = False
    assert await store.commit(put("a")) == 1


async def test_a_stall_takes_time_and_those_behind_wait_their_turn() -> None:
    store, _ = await open_with(Stall(seconds=0.2))
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    assert await asyncio.gather(*[store.commit(put(key)) for key in "ab"]) == [1, 2]
    assert loop.time() - begin_s >= 0.2


@pytest.mark.parametrize("done", [True, False])
async def test_a_crash_at_a_commit_keeps_those_before_and_none_after(done: bool) -> None:
    disk, faults = MemoryDisk(), Faults()
    faults.script(None, Crash(done=done))
    store = await MemoryStore.open(disk, faults=faults)
    answers = await asyncio.gather(*[store.commit(put(key)) for key in "abc"], return_exceptions=True)
    assert answers[0] == 1
    assert [type(answer) for answer in answers[1:]] == [OutcomeUnknown] * 2
    with pytest.raises(Unavailable, match="died"):
        await store.read()
    await store.close()
    reborn = await MemoryStore.open(disk)
    assert list((await reborn.read()).entries) == (["a", "b"] if done else ["a"])
    assert await reborn.commit(put("d")) == (3 if done else 2)


async def test_a_dead_handle_writes_nothing_more() -> None:
    disk, mishaps = MemoryDisk(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mishaps.append(context))
    old = await MemoryStore.open(disk, faults=Faults(commit_s=(1e-6, 1e-6)))
    pending = asyncio.ensure_future(old.commit(put("a")))
    await asyncio.sleep(0)
    old.crash()
    new = await MemoryStore.open(disk)
    before = await new.read()
    with pytest.raises(OutcomeUnknown):
        await pending
    await new.commit(put("b"))
    for _ in range(20):  # the landing would be due by now
        await asyncio.sleep(0)
    assert mishaps == []
    assert (await new.read()).entries.keys() == before.entries.keys() | {"b"}


async def test_of_a_batch_a_crash_keeps_a_first_part_by_chance() -> None:
    kept = set()
    for seed in range(40):
        disk = MemoryDisk()
        store = await MemoryStore.open(disk, faults=Faults(random.Random(seed), commit_s=(1, 2)))
        commits = [asyncio.ensure_future(store.commit(put(key))) for key in "abc"]
        for _ in range(3):
            await asyncio.sleep(0)
        store.crash()
        await asyncio.gather(*commits, return_exceptions=True)
        kept.add("".join(disk.entries))
    assert kept == {"", "a", "ab", "abc"}


async def test_the_same_seed_goes_wrong_in_the_same_way() -> None:
    async def world(seed: int) -> list[str]:
        odds: dict[Fault, float] = {LostAnswer(True): 0.1, LostAnswer(False): 0.1, Refusal(): 0.1, Rival(): 0.1}
        store = await MemoryStore.open(MemoryDisk(), faults=Faults(random.Random(seed), odds=odds))
        trace = []
        for n in range(200):
            entry = await store.get("a")
            try:
                await store.commit(Txn(expect={"a": entry.revision} if entry else {}, put={"a": str(n).encode()}))
            except (Unavailable, Conflict) as error:
                trace.append(f"{n} {type(error).__name__}")
        return trace

    assert await world(1) == await world(1) != await world(2)
    assert {line.split()[1] for line in await world(1)} == {"OutcomeUnknown", "Unavailable", "Conflict"}

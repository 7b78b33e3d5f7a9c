"""A copy of the store in its file can become the store: same keys, same revisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti.base.errors import Failed
from ganeti.contract.store import ABSENT, Change, Entry, Revision, Txn
from ganeti.store.replica import Replica, peek, peek_entries
from ganeti.store.sqlite import SqliteStore


def change(revision: int, **values: bytes | None) -> Change:
    return Change(revision=Revision(revision), values=values)


async def test_a_copy_of_every_change_is_the_store(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/store.db")
    replica = Replica(f"{tmp_path}/replica.db")
    assert (await replica.state()).revision == 0
    await store.commit(Txn(expect={"a": ABSENT}, put={"a": b"1", "b": b"1"}))
    await store.commit(Txn(put={"a": b"2", "lineage": b"one"}, delete=frozenset({"b"})))
    watching = store.watch("", after=Revision(0))
    changes = [await anext(watching), await anext(watching)]
    assert (await replica.append(Revision(0), changes)).revision == 2
    assert (await replica.append(Revision(0), changes)).revision == 2, "a repeat is harmless"
    assert (await replica.append(Revision(1), [*changes[1:], change(3, c=b"3")])).revision == 3
    assert (await replica.append(Revision(9), [change(10, d=b"4")])).revision == 3, "a gap is not filled"
    assert (await replica.state()).lineage == "one"
    assert peek(replica.path) == await replica.state()
    await replica.close()
    copied = await SqliteStore.open(replica.path, create=False)
    snapshot = await copied.read()
    assert snapshot.entries["a"] == (await store.read()).entries["a"]
    assert sorted(snapshot.entries) == ["a", "c", "lineage"]
    assert await copied.commit(Txn(expect={"a": Revision(2)}, put={"a": b"5"})) == 4
    await copied.close()
    await store.close()


async def test_a_whole_in_parts_counts_when_all_of_it_is_there(tmp_path: Path) -> None:
    async with Replica(f"{tmp_path}/replica.db") as replica:
        await replica.append(Revision(0), [change(1, old=b"1")])
        first, second = {"a": Entry(b"1", Revision(4))}, {"b": Entry(b"2", Revision(7))}
        assert (await replica.replace(Revision(7), 0, last=False, entries=first)).revision == 1
        with pytest.raises(Failed, match="part 1 is missing"):
            await replica.replace(Revision(7), 2, last=True, entries=second)
        await replica.replace(Revision(7), 0, last=False, entries=first)
        assert (await replica.replace(Revision(7), 1, last=True, entries=second)).revision == 7
        assert peek_entries(replica.path) == {"a": b"1", "b": b"2"}
        await replica.remove()
        assert not list(tmp_path.iterdir())
        assert (await replica.state()).revision == 0

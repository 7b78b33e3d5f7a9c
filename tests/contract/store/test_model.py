"""Any sequence of commits, reopenings and crashes, compared with a dictionary."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ganeti.contract.store import ABSENT, Change, Conflict, Entry, Revision, Snapshot, Store, Txn
from tests.contract.store.worlds import MemoryWorld, SqliteWorld, World

KEYS = st.sampled_from(["a", "a/1", "a/2", "b", "ü", "ü/1", ""])
TXNS = st.tuples(
    st.dictionaries(KEYS, st.integers(0, 12), max_size=2),
    st.dictionaries(KEYS, st.binary(max_size=3), max_size=3),
    st.frozensets(KEYS, max_size=2),
    st.booleans(),
)


class Machine(RuleBasedStateMachine):
    """`expected` is the whole state; the engine must show it after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = self.make_world()
        self.store: Store = self.runner.run(self.world.open())
        self.expected: dict[str, Entry] = {}
        self.revision = 0
        self.opened_at = 0
        self.changes: list[Change] = []

    def make_world(self) -> World:
        raise NotImplementedError

    def teardown(self) -> None:
        self.runner.run(self.world.end())
        self.runner.close()

    def model(self, txn: Txn) -> int | tuple[str, int, int]:
        for key, expected in txn.expect.items():
            found = self.expected[key].revision if key in self.expected else ABSENT
            if found != expected:
                return key, expected, found
        values: dict[str, bytes | None] = dict(txn.put)
        values |= {key: None for key in txn.delete if key in self.expected}
        if values:
            self.revision += 1
            for key, value in values.items():
                if value is None:
                    del self.expected[key]
                else:
                    self.expected[key] = Entry(value, Revision(self.revision))
            self.changes.append(Change(revision=Revision(self.revision), values=values))
        return self.revision

    def make(self, expect: Mapping[str, int], put: dict[str, bytes], delete: frozenset[str], true: bool) -> Txn:
        """With `true` the expectations are made to hold."""
        revisions = {
            key: (self.expected[key].revision if key in self.expected else ABSENT) if true else Revision(value)
            for key, value in expect.items()
        }
        return Txn(expect=revisions, put=put, delete=delete - put.keys())

    @rule(batch=st.lists(TXNS, min_size=1, max_size=5))
    def commit_together(self, batch: list[Any]) -> None:
        txns = [self.make(*parts) for parts in batch]

        async def run() -> list[Any]:
            return await asyncio.gather(*map(self.store.commit, txns), return_exceptions=True)

        answers = [
            (answer.key, answer.expected, answer.found) if isinstance(answer, Conflict) else answer
            for answer in self.runner.run(run())
        ]
        assert answers == [self.model(txn) for txn in txns]

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.open()

    @rule()
    def crash(self) -> None:
        self.runner.run(self.world.crash(self.store))
        self.open()

    def open(self) -> None:
        self.store = self.runner.run(self.world.open())
        self.opened_at = self.revision
        self.changes.clear()

    @precondition(lambda self: self.changes)
    @rule(prefix=KEYS, data=st.data())
    def watch(self, prefix: str, data: st.DataObject) -> None:
        after = data.draw(st.integers(self.opened_at, self.revision))
        wanted = []
        for change in self.changes:
            values = {key: value for key, value in change.values.items() if key.startswith(prefix)}
            if change.revision > after and values:
                wanted.append(Change(revision=change.revision, values=values))

        async def follow() -> list[Change]:
            changes = self.store.watch(prefix, after=Revision(after))
            async with asyncio.timeout(60):
                return [await anext(changes) for _ in wanted]

        assert self.runner.run(follow()) == wanted

    @invariant()
    def shows_what_is_expected(self) -> None:
        snapshot = self.runner.run(self.store.read())
        assert snapshot == Snapshot(revision=Revision(self.revision), entries=self.expected)
        for prefix in ("a", "a/", "ü"):
            below = {key: entry for key, entry in self.expected.items() if key.startswith(prefix)}
            assert self.runner.run(self.store.read(prefix)).entries == below


class MemoryMachine(Machine):
    def make_world(self) -> World:
        return MemoryWorld()


class SqliteMachine(Machine):
    def make_world(self) -> World:
        # Not fsync but logic is under test here, so memory does as a disk.
        self.directory = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        return SqliteWorld(Path(self.directory.name))

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


LIMITS = settings(max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestMemory = MemoryMachine.TestCase
TestMemory.settings = LIMITS
TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = LIMITS

"""The store port, with etcd's semantics: keys with a modification revision and multi-key compare-and-set.

A commit is all or nothing and durable when it returns. Values are opaque bytes. Engines: `ganeti.store`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final, NewType, Protocol

import msgspec

from ganeti.base.errors import Unavailable

Revision = NewType("Revision", int)
"""Counts commits, from 1; the revision of a key is that of the commit that last wrote it."""

ABSENT: Final = Revision(0)
"""As an expectation: the key is not there."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The value of a key and the revision of its last change."""

    value: bytes
    revision: Revision


class Snapshot(msgspec.Struct, frozen=True):
    """All keys below a prefix at one revision."""

    revision: Revision
    entries: dict[str, Entry]


class Txn(msgspec.Struct, frozen=True, kw_only=True):
    """A change: it happens as a whole if every key in `expect` has that revision, else not at all."""

    expect: Mapping[str, Revision] = {}
    put: Mapping[str, bytes] = {}
    delete: frozenset[str] = frozenset()


class Change(msgspec.Struct, frozen=True):
    """One commit as a watcher sees it; a deleted key has the value None."""

    revision: Revision
    values: dict[str, bytes | None]


class Conflict(Exception):
    """An expectation of a transaction did not hold; nothing was changed."""

    def __init__(self, key: str, expected: Revision, found: Revision) -> None:
        super().__init__(f"{key} has revision {found}, not {expected}")
        self.key, self.expected, self.found = key, expected, found


class OutcomeUnknown(Unavailable):
    """The store did not answer: the commit may or may not have happened. Read to find out."""


class Compacted(Exception):
    """Changes as old as asked for are gone; take a new snapshot."""


class Store(Protocol):
    """A durable, ordered key-value store. All methods raise `Unavailable` when it cannot be reached."""

    async def read(self, prefix: str = "") -> Snapshot:
        """Everything whose key begins with `prefix`, as of one revision."""
        ...

    async def get(self, key: str) -> Entry | None:
        """One key."""
        ...

    async def commit(self, txn: Txn) -> Revision:
        """Apply a transaction durably and return its revision.

        Raises `Conflict` (nothing changed), `Unavailable` (nothing changed) or `OutcomeUnknown`.
        """
        ...

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Change]:
        """Every later commit that touches the prefix, in order, without gaps; raises `Compacted`."""
        ...

    async def close(self) -> None:
        """Release what the engine holds. Committed data stays."""
        ...

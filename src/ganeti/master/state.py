"""The picture of the cluster in memory, and the one way to change it: a compare-and-set transaction in the store.

Every commit expects the master's epoch to be as it was: a master that was superseded cannot write. A commit
whose answer is lost is found out by reading, so that callers see only "done" or "not done".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ganeti.base import retry
from ganeti.base.errors import Bug, GanetiError, Unavailable
from ganeti.base.log import Log
from ganeti.contract.operation import Change
from ganeti.contract.store import ABSENT, Conflict, Entry, OutcomeUnknown, Revision, Store, Txn
from ganeti.model.objects import CLUSTER_KEY, KEY_PREFIXES, Cluster, Stored, key_of
from ganeti.model.picture import Picture

log = Log(__name__)

EPOCH_KEY: Final = "epoch"
UNGUARDED: Final = frozenset({"serial/job"})
"""Keys that only grow and that concurrent commits may write: no revision is expected of them."""

_TYPES: Final[dict[str, type[Stored]]] = {prefix: kind for kind, prefix in KEY_PREFIXES.items()}


class Deposed(GanetiError):
    """Another master has taken over; this one must end at once."""


class State:
    """What the store holds, decoded, with the revision of every key that this master writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revisions: dict[str, Revision] = {}
        self.picture = Picture()
        self.epoch = 0
        self.entries: dict[str, Entry] = {}
        """Keys found at load that are no objects (jobs, undo lists, debts); emptied by who reads them."""

    async def load(self, *, take_over: bool = True) -> None:
        """Read everything. With `take_over` become the master: raise the epoch, which fences every older one."""
        snapshot = await self._store.read()
        objects: list[Stored] = []
        self.entries = {}
        for key, entry in snapshot.entries.items():
            self._revisions[key] = entry.revision
            kind = Cluster if key == CLUSTER_KEY else _TYPES.get(key[: key.find("/") + 1])
            if kind is not None:
                objects.append(msgspec.json.decode(entry.value, type=kind))
            elif key == EPOCH_KEY:
                self.epoch = int(entry.value)
            else:
                self.entries[key] = entry
        self.picture = Picture().with_changes(revision=snapshot.revision, put=objects)
        if take_over:
            await self._raise_epoch()

    async def _raise_epoch(self) -> None:
        txn = Txn(
            expect={EPOCH_KEY: self._revisions.get(EPOCH_KEY, ABSENT)}, put={EPOCH_KEY: str(self.epoch + 1).encode()}
        )
        revision = await self._commit_for_sure(txn)
        self._revisions[EPOCH_KEY] = revision
        self.epoch += 1

    async def commit(
        self,
        change: Change = Change(),  # noqa: B008 - frozen
        *,
        put: Mapping[str, bytes] | None = None,
        delete: Iterable[str] = (),
    ) -> Revision:
        """Write objects and raw keys in one transaction, and move the picture on.

        Raises `Unavailable` when nothing was changed, `Deposed` when another master rules.
        """
        raw = dict(put or {})
        gone = set(delete) | {key_of(obj) for obj in change.remove}
        values = {key_of(obj): msgspec.json.encode(obj) for obj in change.put} | raw
        expect = {key: self._revisions.get(key, ABSENT) for key in [*values, *gone] if key not in UNGUARDED}
        expect[EPOCH_KEY] = self._revisions[EPOCH_KEY]
        revision = await self._commit_for_sure(Txn(expect=expect, put=values, delete=frozenset(gone)))
        for key in values:
            self._revisions[key] = revision
        for key in gone:
            self._revisions.pop(key, None)
        if change.put or change.remove:
            self.picture = self.picture.with_changes(revision=revision, put=change.put, remove=change.remove)
        return revision

    async def commit_at_last(self, *, put: Mapping[str, bytes] | None = None, delete: Iterable[str] = ()) -> None:
        """Write raw keys, waiting out a store that is down: for what must be written before anything else can go on."""
        async for _ in retry.attempts(within_s=math.inf, longest_pause_s=10.0):
            try:
                await self.commit(put=put, delete=delete)
            except Unavailable as error:
                log.warning("store does not take a change, trying again", cause=error)
            else:
                return

    async def _commit_for_sure(self, txn: Txn) -> Revision:
        tried_before = False
        # Without an end: nobody can go on from a commit that may or may not have happened.
        async for _ in retry.attempts(within_s=math.inf):
            try:
                return await self._store.commit(txn)
            except OutcomeUnknown as lost:
                log.warning("commit without an answer, asking again", cause=lost)
                tried_before = True
            except Conflict as conflict:
                if tried_before and (done := await self._revision_if_done(txn)) is not None:
                    return done
                raise await self._explained(conflict) from conflict
            except Unavailable:
                if not tried_before:
                    raise
        raise Bug("endless attempts ended")

    async def _revision_if_done(self, txn: Txn) -> Revision | None:
        """The revision of an earlier try whose answer was lost, recognised by what it wrote."""
        for key, value in txn.put.items():
            entry = await self._store.get(key)
            return entry.revision if entry is not None and entry.value == value else None
        for key in txn.delete:
            return None if await self._store.get(key) is not None else self._revisions.get(EPOCH_KEY, ABSENT)
        return None

    async def _explained(self, conflict: Conflict) -> GanetiError:
        entry = await self._store.get(EPOCH_KEY)
        if entry is not None and int(entry.value) > self.epoch:
            return Deposed(f"a master of epoch {entry.value.decode()} has taken over from this one ({self.epoch})")
        if conflict.found == conflict.expected or await self._matches(conflict):
            return Unavailable("the store refused a change without a reason; try again")
        return Bug(f"somebody else wrote {conflict.key}: revision {conflict.found}, expected {conflict.expected}")

    async def _matches(self, conflict: Conflict) -> bool:
        entry = await self._store.get(conflict.key)
        return (entry.revision if entry is not None else ABSENT) == conflict.expected


def encode(value: Any) -> bytes:
    """A value as stored: JSON."""
    return msgspec.json.encode(value)

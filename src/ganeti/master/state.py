"""The picture of the cluster in memory, and the one way to change it: a compare-and-set transaction in the store.

Every commit expects the master's epoch to be as it was: a master that was superseded cannot write. A commit
whose answer is lost is found out by reading, so that callers see only "done" or "not done"; so is one whose caller
is cancelled, because a job may be killed in the middle of it. Commits that touch the same key are made one after
another, in the order they were asked for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
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
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
"""Between tries of a commit whose outcome is unknown."""
_TYPES: Final[dict[str, type[Stored]]] = {prefix: kind for kind, prefix in KEY_PREFIXES.items()}


class Overtaken(Unavailable):
    """Somebody else changed the same object in the same moment; nothing was changed."""


class Deposed(GanetiError):
    """Another master has taken over; this one must end at once."""


class Overwritten(Bug):
    """Somebody who is no master wrote a key that only the master writes: what is in memory is not true any more."""


class State:
    """What the store holds, decoded, with the revision of every key that this master writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revisions: dict[str, Revision] = {}
        self._last_at: dict[str, asyncio.Future[None]] = {}
        """For each key that a commit is about: when the last one of those that were asked for will be through."""
        self.deposed = asyncio.Event()
        """Set when the store has said that another master rules."""
        self.picture = Picture()
        self.epoch = 0
        self.entries: dict[str, Entry] = {}
        """Keys found at load that are no objects (jobs, undo lists, debts); emptied by who reads them."""

    async def load(self, *, take_over: bool = True, least_epoch: int = 0) -> None:
        """Read everything. With `take_over` become the master: raise the epoch, which fences every older one.

        The epoch comes first: what an older master writes until then is read, and afterwards it writes no more.
        """
        if take_over:
            await self._raise_epoch(least_epoch)
        snapshot = await self._store.read()
        objects: list[Stored] = []
        self.entries = {}
        for key, entry in snapshot.entries.items():
            self._revisions[key] = entry.revision
            kind = Cluster if key == CLUSTER_KEY else _TYPES.get(key[: key.find("/") + 1])
            if kind is not None:
                objects.append(msgspec.json.decode(entry.value, type=kind))
            elif key == EPOCH_KEY:
                self._accept_epoch(entry, take_over=take_over)
            else:
                self.entries[key] = entry
        self.picture = Picture().with_changes(revision=snapshot.revision, put=objects)

    async def _raise_epoch(self, least: int) -> None:
        entry = await self._store.get(EPOCH_KEY)
        before, revision = (int(entry.value), entry.revision) if entry is not None else (0, ABSENT)
        epoch = max(before, least) + 1
        txn = Txn(expect={EPOCH_KEY: revision}, put={EPOCH_KEY: str(epoch).encode()})
        cancelled: list[asyncio.CancelledError] = []
        self.epoch = before
        self._revisions[EPOCH_KEY] = await self._commit_for_sure(txn, cancelled)
        self.epoch = epoch
        if cancelled:
            raise cancelled[0]

    def _accept_epoch(self, entry: Entry, *, take_over: bool) -> None:
        if take_over and int(entry.value) != self.epoch:
            raise self._deposed_by(entry)
        self.epoch = int(entry.value)

    async def commit(
        self,
        change: Change = Change(),  # noqa: B008 - frozen
        *,
        put: Mapping[str, bytes] | None = None,
        delete: Iterable[str] = (),
    ) -> Revision:
        """Write objects and raw keys in one transaction, and move the picture on.

        Raises `Unavailable` when nothing was changed; `Deposed` when another master rules, and `Overwritten`.
        """
        return await self._commit(change, put or {}, delete, self._revisions_of(change))

    def _revisions_of(self, change: Change) -> dict[str, Revision]:
        """What a change rests on: its objects were computed from the picture as it is when it is asked for."""
        return {key: self._revisions.get(key, ABSENT) for key in map(key_of, (*change.put, *change.remove))}

    async def _commit(
        self, change: Change, put: Mapping[str, bytes], delete: Iterable[str], based_on: Mapping[str, Revision]
    ) -> Revision:
        gone = {*delete, *map(key_of, change.remove)}
        values = {key_of(obj): msgspec.json.encode(obj) for obj in change.put} | dict(put)
        keys = [*values, *sorted(gone)]
        async with self._turn(keys) as cancelled:
            for key, revision in based_on.items():
                if self._revisions.get(key, ABSENT) != revision:  # what was committed meanwhile must not be lost
                    raise Overtaken(f"{key} was changed by somebody else in the same moment; try again", key=key)
            expect = {key: self._revisions.get(key, ABSENT) for key in [*keys, EPOCH_KEY]}
            txn = Txn(expect=expect, put=values, delete=frozenset(gone))
            revision = await self._commit_for_sure(txn, cancelled)
            for key in values:
                self._revisions[key] = revision
            for key in gone:
                self._revisions.pop(key, None)
            if change.put or change.remove:
                # Commits that touch different keys may come back in another order than they were made in.
                newest = max(revision, self.picture.revision)
                self.picture = self.picture.with_changes(revision=newest, put=change.put, remove=change.remove)
        if cancelled:
            raise cancelled[0]
        return revision

    def holds(self, key: str) -> bool:
        """Whether the store has that key, as far as this master's own commits go."""
        return key in self._revisions

    @asynccontextmanager
    async def _turn(self, keys: Collection[str]) -> AsyncIterator[list[asyncio.CancelledError]]:
        """Wait until the commits that were asked for earlier and touch one of the keys are through.

        What cancelled the caller meanwhile is put off: it is in the list, and for the caller to raise.
        """
        through: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        before = [self._last_at[key] for key in keys if key in self._last_at]
        self._last_at |= dict.fromkeys(keys, through)
        cancelled: list[asyncio.CancelledError] = []
        try:
            for earlier in before:
                while not earlier.done():
                    try:
                        await asyncio.wait([earlier])
                    except asyncio.CancelledError as error:
                        cancelled.append(error)
            yield cancelled
        finally:
            through.set_result(None)
            for key in keys:
                if self._last_at[key] is through:
                    del self._last_at[key]

    async def commit_at_last(
        self,
        change: Change = Change(),  # noqa: B008 - frozen
        *,
        put: Mapping[str, bytes] | None = None,
        delete: Iterable[str] = (),
        within_s: float = math.inf,
    ) -> None:
        """Like `commit`, waiting out a store that is down: for what must be written before anything else can go on."""
        trouble: Unavailable | None = None
        based_on, gone = self._revisions_of(change), set(delete)
        async for _ in retry.attempts(within_s=within_s, longest_pause_s=10.0):
            try:
                await self._commit(change, put or {}, gone, based_on)
            except Overtaken:
                raise
            except Unavailable as error:
                log.warning("store does not take a change, trying again", cause=error)
                trouble = error
            else:
                return
        assert trouble is not None
        raise trouble

    async def _commit_for_sure(self, txn: Txn, cancelled: list[asyncio.CancelledError]) -> Revision:
        """Make it; a cancellation that comes while the outcome is open is put off into `cancelled`."""
        tried_before, pause_s = False, FIRST_PAUSE_S
        # Without an end: nobody can go on from a commit that may or may not have happened.
        while True:
            try:
                return await self._try(txn, tried_before=tried_before)
            except asyncio.CancelledError as error:
                cancelled.append(error)
                tried_before = True
                continue
            except OutcomeUnknown as lost:
                log.warning("commit without an answer, asking again", cause=lost)
                tried_before = True
            except Unavailable:
                if not tried_before:
                    raise
            try:
                await asyncio.sleep(pause_s)
            except asyncio.CancelledError as error:
                cancelled.append(error)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)

    async def _try(self, txn: Txn, *, tried_before: bool) -> Revision:
        try:
            return await self._store.commit(txn)
        except Conflict as conflict:
            if tried_before and (done := await self._revision_if_done(txn)) is not None:
                return done
            raise await self._explained(conflict) from conflict

    async def _revision_if_done(self, txn: Txn) -> Revision | None:
        """The revision of an earlier try whose answer was lost, recognised by what it wrote: all of it, at once."""
        revisions = set()
        for key, value in txn.put.items():
            entry = await self._store.get(key)
            if entry is None or entry.value != value or entry.revision == txn.expect[key]:
                return None
            revisions.add(entry.revision)
        for key in txn.delete:
            if await self._store.get(key) is not None:
                return None
        if len(revisions) > 1:
            return None
        return revisions.pop() if revisions else txn.expect[EPOCH_KEY]

    async def _explained(self, conflict: Conflict) -> GanetiError:
        entry = await self._store.get(EPOCH_KEY)
        if entry is not None and int(entry.value) > self.epoch:
            return self._deposed_by(entry)
        if conflict.found == conflict.expected or await self._matches(conflict):
            return Unavailable("the store refused a change without a reason; try again")
        return Overwritten(
            f"somebody else wrote {conflict.key}: revision {conflict.found}, expected {conflict.expected}"
        )

    def _deposed_by(self, entry: Entry) -> Deposed:
        self.deposed.set()
        return Deposed(f"a master of epoch {entry.value.decode()} has taken over from this one ({self.epoch})")

    async def _matches(self, conflict: Conflict) -> bool:
        entry = await self._store.get(conflict.key)
        return (entry.revision if entry is not None else ABSENT) == conflict.expected


def encode(value: Any) -> bytes:
    """A value as stored: JSON."""
    return msgspec.json.encode(value)

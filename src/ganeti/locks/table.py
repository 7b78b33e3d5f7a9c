"""Who holds which name, who waits, and who is next: the rules of locking, pure.

All names of a request are granted at once. Nobody holds one name and waits for another, so there is no deadlock.

Order is fair: by rank, then arrival. A waiter is granted as soon as it conflicts with no holder and with no earlier
waiter on any of its names, and the limit has room. Nobody barges past an earlier waiter it conflicts with, so a
writer does not starve behind readers, nor a request for many names behind requests for one.

Rank is the time of arrival plus `age_s` seconds per step of priority (lower is more urgent). It orders waiters as if
everyone's priority rose by a step every `age_s` seconds, yet never changes while they wait: an urgent request passes
those that came up to so many steps times `age_s` before it, and none that waits longer. So nobody starves.

Cost: each name has its waiters in order. A waiter that cannot be granted is parked at one name that is in its way,
and is looked at again only when that name comes free for it. See `looks`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec

from ganeti.base.errors import Bug

Mode = Literal["exclusive", "shared"]


class LockRow(msgspec.Struct, frozen=True, kw_only=True):
    """One name that is held or waited for. Shared waiters next to one another in the queue are one entry of `pending`."""

    name: str
    mode: Mode | None
    owners: tuple[int, ...]
    pending: tuple[tuple[Mode, tuple[int, ...]], ...]


class _Key(NamedTuple):
    """The place in every queue."""

    rank: float
    arrival: int


class _Request:
    """What one owner holds or waits for. `parked` is the name it waits at, None when only the limit is in its way."""

    __slots__ = ("arrived_s", "exempt", "key", "modes", "owner", "parked")

    def __init__(self, owner: int, modes: dict[str, Mode], key: _Key, arrived_s: float, exempt: bool) -> None:
        self.owner = owner
        self.modes = modes
        self.key = key
        self.arrived_s = arrived_s
        self.exempt = exempt
        self.parked: str | None = None


class _Name:
    """One name: who holds it, and the places of who waits, in order."""

    __slots__ = ("exclusive", "holders", "mode", "parked", "shared")

    def __init__(self) -> None:
        self.mode: Mode | None = None
        self.holders: dict[int, None] = {}
        self.exclusive: list[_Key] = []
        self.shared: list[_Key] = []
        self.parked: list[_Key] = []
        """Those among `shared` that are parked here."""

    def waiting(self, mode: Mode) -> list[_Key]:
        return self.exclusive if mode == "exclusive" else self.shared

    def is_clear(self, key: _Key, mode: Mode) -> bool:
        """Whether nothing here is in the way of the waiter with this key."""
        if mode == "exclusive":
            return not self.holders and self.exclusive[0] == key and not (self.shared and self.shared[0] < key)
        return self.mode != "exclusive" and not (self.exclusive and self.exclusive[0] < key)

    @property
    def is_idle(self) -> bool:
        return not (self.holders or self.exclusive or self.shared)


class LockTable:
    """The state of all locks. Every method that can let waiters in returns their owners in order; they hold then.

    An owner is a number (of a job) and has one request at a time, waiting or holding. `limit` bounds how many
    owners hold at a time; those asked as `exempt` neither count nor are held up by it.
    """

    def __init__(self, *, limit: int | None = None, age_s: float = 300.0) -> None:
        self._limit = limit
        self._age_s = age_s
        self._names: dict[str, _Name] = {}
        self._waiting: dict[int, _Request] = {}
        self._holding: dict[int, _Request] = {}
        self._by_arrival: dict[int, _Request] = {}
        self._arrivals = 0
        self._ready: list[_Key] = []
        """A heap of waiters that were clear everywhere when last looked at: for them only the limit has no room."""
        self._counted = 0
        self.looks = 0
        """How often one name of one waiter was examined: the work done so far."""

    @property
    def limit(self) -> int | None:
        """How many owners may hold at a time; None is no limit."""
        return self._limit

    def request(
        self,
        owner: int,
        *,
        shared: Iterable[str] = (),
        exclusive: Iterable[str] = (),
        priority: int = 0,
        now_s: float = 0.0,
        exempt: bool = False,
    ) -> bool:
        """Ask for all these names at once; true when they are granted now. A name asked in both modes is exclusive."""
        if owner in self._waiting or owner in self._holding:
            raise Bug(f"owner {owner} asks for locks while it has a request", owner=owner)
        modes: dict[str, Mode] = dict.fromkeys(sorted(shared), "shared")
        modes.update(dict.fromkeys(sorted(exclusive), "exclusive"))
        self._arrivals += 1
        key = _Key(now_s + priority * self._age_s, self._arrivals)
        request = _Request(owner, modes, key, now_s, exempt)
        self._by_arrival[key.arrival] = request
        self._enqueue(request)
        return bool(self._admit([request]))

    def release(self, owner: int) -> list[int]:
        """The owner holds nothing any more."""
        request = self._holding.pop(owner, None)
        if request is None:
            raise Bug(f"owner {owner} releases locks it does not hold", owner=owner)
        del self._by_arrival[request.key.arrival]
        if not request.exempt:
            self._counted -= 1
        for name in request.modes:
            state = self._names[name]
            del state.holders[owner]
            if not state.holders:
                state.mode = None
        return self._admit(self._cleared(request.modes))

    def cancel(self, owner: int) -> list[int]:
        """The owner waits no more."""
        request = self._waiting.get(owner)
        if request is None:
            raise Bug(f"owner {owner} does not wait for locks", owner=owner)
        self._dequeue(request)
        del self._by_arrival[request.key.arrival]
        return self._admit(self._cleared(request.modes))

    def change_priority(self, owner: int, priority: int) -> list[int]:
        """Move a waiter; the time it has waited still counts. Without effect on an owner that does not wait."""
        request = self._waiting.get(owner)
        if request is None:
            return []
        self._dequeue(request)
        request.key = _Key(request.arrived_s + priority * self._age_s, request.key.arrival)
        self._enqueue(request)
        return self._admit([*self._cleared(request.modes), request])

    def change_limit(self, limit: int | None) -> list[int]:
        """Bound how many hold at a time. Who holds now stays."""
        self._limit = limit
        return self._admit([])

    def is_waiting(self, owner: int) -> bool:
        """Whether the owner waits."""
        return owner in self._waiting

    def is_holding(self, owner: int) -> bool:
        """Whether the owner holds what it asked for."""
        return owner in self._holding

    def waiting(self) -> list[int]:
        """Who waits, first who is first."""
        return [request.owner for request in sorted(self._waiting.values(), key=lambda request: request.key)]

    def holding(self) -> list[int]:
        """Who holds, in the order they were let in."""
        return list(self._holding)

    def rows(self) -> list[LockRow]:
        """All names held or waited for, sorted: what `gnt-debug locks` shows."""
        return [self._row(name, state) for name, state in sorted(self._names.items()) if not state.is_idle]

    def _row(self, name: str, state: _Name) -> LockRow:
        queue: list[tuple[_Key, Mode]] = [(key, "exclusive") for key in state.exclusive]
        queue += [(key, "shared") for key in state.shared]
        pending: list[tuple[Mode, tuple[int, ...]]] = []
        for mode, run in groupby(sorted(queue), key=lambda place: place[1]):
            owners = tuple(self._by_arrival[key.arrival].owner for key, _ in run)
            pending += [(mode, (owner,)) for owner in owners] if mode == "exclusive" else [(mode, owners)]
        return LockRow(name=name, mode=state.mode, owners=tuple(state.holders), pending=tuple(pending))

    def _enqueue(self, request: _Request) -> None:
        self._waiting[request.owner] = request
        for name, mode in request.modes.items():
            state = self._names.get(name)
            if state is None:
                state = self._names[name] = _Name()
            insort(state.waiting(mode), request.key)

    def _dequeue(self, request: _Request) -> None:
        del self._waiting[request.owner]
        self._unpark(request)
        for name, mode in request.modes.items():
            _take(self._names[name].waiting(mode), request.key)

    def _park(self, request: _Request, name: str) -> None:
        request.parked = name
        if request.modes[name] == "shared":
            insort(self._names[name].parked, request.key)

    def _unpark(self, request: _Request) -> None:
        name, request.parked = request.parked, None
        if name is not None and request.modes[name] == "shared":
            _take(self._names[name].parked, request.key)

    def _cleared(self, names: Iterable[str]) -> list[_Request]:
        """Unpark the waiters for which these names, where something has gone, are not in the way any more."""
        found: list[_Request] = []
        for name in names:
            state = self._names[name]
            if state.is_idle:
                del self._names[name]
                continue
            self.looks += 1
            if state.exclusive and state.is_clear(state.exclusive[0], "exclusive"):
                first = self._by_arrival[state.exclusive[0].arrival]
                if first.parked == name:
                    first.parked = None
                    found.append(first)
            elif state.mode != "exclusive":
                run = bisect_left(state.parked, state.exclusive[0]) if state.exclusive else len(state.parked)
                for key in state.parked[:run]:
                    request = self._by_arrival[key.arrival]
                    request.parked = None
                    found.append(request)
                del state.parked[:run]
        return found

    def _admit(self, candidates: list[_Request]) -> list[int]:
        """Let in whoever may come of the candidates and of those the limit held up; park those that something blocks.

        Letting one in makes way for nobody, and those that are clear everywhere do not conflict with each other: so
        one pass is all, and only the room under the limit depends on the order.
        """
        granted: list[_Request] = []
        for request in candidates:
            if self._obstructed(request):
                continue
            if request.exempt:
                self._grant(request)
                granted.append(request)
            else:
                heapq.heappush(self._ready, request.key)
        while self._ready and (self._limit is None or self._counted < self._limit):
            key = heapq.heappop(self._ready)
            ready = self._by_arrival.get(key.arrival)
            # Its place may be out of date: it was cancelled, moved, or parked again since.
            if ready is None or ready.key != key or ready.owner not in self._waiting or ready.parked is not None:
                continue
            # Or somebody more urgent came in between.
            if not self._obstructed(ready):
                self._grant(ready)
                granted.append(ready)
        return [request.owner for request in sorted(granted, key=lambda request: request.key)]

    def _obstructed(self, request: _Request) -> bool:
        """Whether some name is in its way; then it is parked there."""
        for name, mode in request.modes.items():
            self.looks += 1
            if not self._names[name].is_clear(request.key, mode):
                self._park(request, name)
                return True
        return False

    def _grant(self, request: _Request) -> None:
        self._dequeue(request)
        for name, mode in request.modes.items():
            state = self._names[name]
            state.mode = mode
            state.holders[request.owner] = None
        self._holding[request.owner] = request
        if not request.exempt:
            self._counted += 1


def _take(keys: list[_Key], key: _Key) -> None:
    del keys[bisect_left(keys, key)]

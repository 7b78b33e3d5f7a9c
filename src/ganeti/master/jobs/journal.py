"""The undo list of a running operation: written before each deed, dropped by the commit, played on failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ganeti.base.errors import Failed, GanetiError, Refused, Unavailable
from ganeti.base.log import Log
from ganeti.contract.calls import Call, codec
from ganeti.master.jobs.records import Tracked, undo_key
from ganeti.master.nodes import DEBT_PREFIX, Nodes, Owed, call_of
from ganeti.master.state import State, encode
from ganeti.model.objects import Uuid

log = Log(__name__)


class Journal:
    """Writes and plays the undo list of one job."""

    def __init__(self, state: State, nodes: Nodes, tracked: Tracked) -> None:
        self._state = state
        self._nodes = nodes
        self._tracked = tracked

    async def later(self, *calls: tuple[Uuid, Call[Any]]) -> None:
        """Write down, before the deed, the calls that reverse it; durable when this returns."""
        entries = self.entries(calls)
        # Noted first: a commit whose outcome stays unknown may have written them.
        self._tracked.undo |= entries
        self._tracked.marked_running = True
        await self._state.commit(put={key: encode(owed) for key, owed in entries.items()} | self._tracked.encoded())

    def entries(self, calls: Sequence[tuple[Uuid, Call[Any]]]) -> dict[str, Owed]:
        """The calls under fresh keys of the undo list, to be noted and committed by the caller."""
        job = self._tracked.job.id
        entries: dict[str, Owed] = {}
        for node, call in calls:
            self._tracked.undo_seq += 1
            owed = Owed(node=node, job=job, call=msgspec.Raw(codec.encode(call)))
            entries[undo_key(job, self._tracked.undo_seq)] = owed
        return entries

    async def play(self, silent: set[Uuid] | None = None) -> list[str]:
        """Reverse everything, newest first. What a node cannot do now becomes its debt; returns sentences on those.

        Nodes in `silent` are not asked: waiting for each of their answers would take minutes. One that turns out to
        be silent is added.
        """
        silent = silent if silent is not None else set()
        trouble = []
        for key, owed in sorted(self._tracked.undo.items(), reverse=True):
            if not self._state.holds(key):  # the commit that should have written it failed, so its deed was not begun
                self._tracked.undo.pop(key)
                continue
            failed = await self._reverse(owed, silent)
            if failed is None:
                await self._state.commit_at_last(delete=[key])
            else:
                debt = debt_key(owed.node, key)
                await self._state.commit_at_last(put={debt: encode(owed)}, delete=[key])
                self._nodes.owe(debt, owed)
                trouble.append(failed)
            self._tracked.undo.pop(key)
        return trouble

    async def _reverse(self, owed: Owed, silent: set[Uuid]) -> str | None:
        what = "a reversal"
        try:
            call = call_of(owed)
            what = type(call).__name__
            if owed.node in silent:
                raise Unavailable("the node does not answer")
            await self._nodes.call(owed.node, call)
        except (Unavailable, Failed, Refused) as error:
            log.warning("undo left as a debt", job=owed.job, node=owed.node, call=what, cause=said(error))
            if isinstance(error, Unavailable):
                silent.add(owed.node)
            return f"{what} on {_name(self._state, owed.node)} could not be done yet: {error.message}"
        return None


def debt_key(node: Uuid, undo: str) -> str:
    """Where an entry of an undo list stands once it is a debt; what came later sorts later, and is paid first."""
    return f"{DEBT_PREFIX}{node}/{undo}"


def said(error: GanetiError) -> str:
    """An error as one line."""
    return " ".join(error.message.split())


def _name(state: State, node: Uuid) -> str:
    known = state.picture.nodes.get(node)
    return known.name if known is not None else node

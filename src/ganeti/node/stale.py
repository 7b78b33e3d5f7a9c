"""Calls that come too late: a call whose caller does not wait for it any more is not begun.

A master that got no answer goes on: it undoes, or does the next thing. Should the lost call arrive after that, it
would make a disk that nobody knows, or stop a guest that was started since. So every call says which earlier ones its
caller still waits for, and what came before it and is not among them is refused.

In memory only: no connection of a caller outlives the daemon, so nothing comes late after a restart.
"""

from __future__ import annotations

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.contract.calls import Envelope


class Stale:
    """For each caller of the newest epoch: its latest call, and the earlier ones it waited for when it sent that."""

    def __init__(self) -> None:
        self._epoch = 0
        self._latest: dict[str, tuple[int, frozenset[int]]] = {}

    def is_given_up(self, envelope: Envelope) -> bool:
        """Whether its caller does not wait for that call any more, as far as we were told; a newer master never does."""
        if envelope.epoch < self._epoch:
            return True
        latest, open_then = self._latest.get(envelope.sender, (0, frozenset()))
        return 0 < envelope.seq < latest and envelope.seq not in open_then

    def check(self, envelope: Envelope) -> None:
        """Learn what the call says of earlier ones. `Refused` (wrong_state) when a later one has given this one up."""
        if envelope.seq == 0:
            return  # from a caller that does not count
        if envelope.epoch > self._epoch:
            self._epoch = envelope.epoch
            self._latest.clear()
        latest, open_then = self._latest.get(envelope.sender, (0, frozenset()))
        if envelope.seq >= latest:
            self._latest[envelope.sender] = (envelope.seq, frozenset(envelope.open))
        elif envelope.seq not in open_then:
            raise Refused(
                WRONG_STATE,
                f"call {envelope.seq} comes too late: its caller gave it up before it sent call {latest}",
                seq=envelope.seq,
                latest=latest,
            )

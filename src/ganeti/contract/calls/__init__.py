"""Node calls: what the master asks of a node. One type a call; the type of the answer is part of it.

A call says how things shall be, so repeating it is harmless. On the wire it travels in an `Envelope` that
carries the master's epoch (a node refuses one older than the newest it has seen) and a call id (a repeat gets
the recorded answer).
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec

R = TypeVar("R")


class Call(msgspec.Struct, Generic[R], frozen=True, kw_only=True, tag_field="call", forbid_unknown_fields=True):
    """A request to one node, answered with an `R`."""

    timeout_s: ClassVar[float] = 60.0
    """How long the master waits for an answer."""

    only_reads: ClassVar[bool] = False
    """Whether it changes nothing, so that it may be asked before a plan exists."""

    unfenced: ClassVar[bool] = False
    """Whether it passes the fence against older masters: calls that decide who is the master."""

    breakable: ClassVar[bool] = False
    """Whether a node breaks it off when its caller has given it up: it is long, and its undo waits for its end."""

    @property
    def limit_s(self) -> float:
        """How long the master waits for the answer to this very call."""
        return self.timeout_s


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A call on its way. `cluster` is the cluster's UUID; a node of another cluster refuses.

    `version` is the caller's, for errors that come from two versions not understanding one another. `sender` tells
    callers of one epoch apart; each counts its calls in `seq`, from 1, and says in `open` which earlier ones to the
    same node it still waits for: what it does not wait for any more must not begin.
    """

    cluster: str
    epoch: int
    call_id: str
    call: msgspec.Raw
    version: str = ""
    sender: str = ""
    seq: int = 0
    open: tuple[int, ...] = ()


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """An error that travels: class name (refused, unavailable, failed, bug), sentence, facts, code if refused."""

    error: str
    message: str
    facts: dict[str, Any] = {}
    code: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What comes back: the reply of the call's type, or an error."""

    reply: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorReply | None = None


def reply_type(call: type[Call[Any]]) -> Any:
    """The type a call is answered with, read off its declaration `class X(Call[Reply], ...)`."""
    for base in getattr(call, "__orig_bases__", ()):
        arguments = get_args(base)
        if arguments:
            return arguments[0]
    raise TypeError(f"{call.__name__} does not say what it is answered with")

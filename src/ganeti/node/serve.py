"""The node's side of a call: who asks, may they, was it asked before, whose turn is it, and then the deed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Bug, Failed, GanetiError, Refused, Unavailable
from ganeti.base.log import Log
from ganeti.contract.calls import Answer, Call, Envelope, ErrorReply
from ganeti.contract.calls.node import NodeLeave
from ganeti.contract.calls.subjects import keys_of
from ganeti.contract.settings import NodeSettings
from ganeti.node.answers import Answers
from ganeti.node.handlers import Handler, load
from ganeti.node.host import Host
from ganeti.node.stale import Stale
from ganeti.node.turns import Turns

_log: Final = Log(__name__)

MOST_CALLS: Final = 1000
"""At work or waiting for their turn at once; one more is told to come back."""


class NodeServer:
    """Serves one host. `serve` is the `contract.wire.Serve` of whatever wire carries the calls."""

    def __init__(
        self,
        host: Host,
        *,
        settings: NodeSettings,
        answers: Answers | None = None,
        handlers: Mapping[str, tuple[type[Call[Any]], Handler]] | None = None,
    ) -> None:
        self._host = host
        self.settings = settings
        self._answers = answers if answers is not None else Answers()
        self._handlers = handlers if handlers is not None else load()
        self._turns = Turns()
        self._stale = Stale()
        self._calls = 0
        self._breakable: dict[str, tuple[Envelope, asyncio.Timeout]] = {}

    @property
    def settings(self) -> NodeSettings:
        """Whom it serves. May be replaced while serving, when the callers have changed."""
        assert self._host.member.settings is not None, "set when it was made"
        return self._host.member.settings

    @settings.setter
    def settings(self, settings: NodeSettings) -> None:
        self._host.member.settings = settings

    async def serve(self, data: bytes, caller: str) -> bytes:
        """Answer the envelope in `data`; `caller` is the fingerprint of the certificate it came with.

        Never raises but for cancellation: every error is an answer.
        """
        self._calls += 1
        try:
            return await self._serve(data, caller)
        except GanetiError as error:
            return _refusal(error)
        finally:
            self._calls -= 1

    async def _serve(self, data: bytes, caller: str) -> bytes:
        # Who may not call learns nothing of this node, so this is before all else.
        if caller.lower() not in {known.lower() for known in self.settings.callers}:
            _log.warning("call refused", caller=caller)
            raise Refused(
                WRONG_STATE,
                f"the certificate {caller} is not one of a master candidate that {self._host.name} knows",
                caller=caller,
            )
        if self._calls > MOST_CALLS:
            raise Unavailable(f"node {self._host.name} has {MOST_CALLS} calls at work; try again later")
        envelope = self._open(data)
        if envelope.cluster != self.settings.cluster_uuid:
            raise Refused(
                WRONG_STATE,
                f"node {self._host.name} belongs to cluster {self.settings.cluster_name} "
                f"({self.settings.cluster_uuid}), not to {envelope.cluster}",
                cluster=self.settings.cluster_uuid,
                asked=envelope.cluster,
            )
        call, handler = self._decode(envelope)
        if self._host.left.is_set() and isinstance(call, NodeLeave):
            return msgspec.json.encode(Answer())
        if call.unfenced:
            return await self._do(envelope, lambda: handler(self._host, call))
        self._admit(envelope.epoch)
        self._stale.check(envelope)
        self._break_off_what_was_given_up()
        if call.only_reads:
            return await self._do(envelope, lambda: handler(self._host, call))
        return await self._answers.once(envelope.call_id, lambda: self._in_turn(envelope, call, handler))

    async def _in_turn(self, envelope: Envelope, call: Call[Any], handler: Handler) -> bytes:
        async def deed() -> Any:
            async with self._turns.of(keys_of(call)):
                self._admit(envelope.epoch)  # a new master may have come while this call waited
                self._stale.check(envelope)  # or its caller may have given it up
                begun_s = asyncio.get_running_loop().time()
                limit = asyncio.timeout(call.limit_s)
                try:
                    async with limit:
                        if call.breakable:
                            self._breakable[envelope.call_id] = (envelope, limit)
                        reply = await handler(self._host, call)
                except TimeoutError as error:
                    if not limit.expired():
                        raise
                    if self._stale.is_given_up(envelope):
                        raise Failed(f"{_tag(call)} was broken off: its caller gave it up", call=_tag(call)) from error
                    raise Failed(
                        f"{_tag(call)} was broken off on node {self._host.name} after {call.limit_s:g} s",
                        call=_tag(call),
                    ) from error
                finally:
                    self._breakable.pop(envelope.call_id, None)
                took_s = asyncio.get_running_loop().time() - begun_s
                _log.info("call done", call=_tag(call), call_id=envelope.call_id, took_s=took_s)
                return reply

        return await self._do(envelope, deed)

    async def _do(self, envelope: Envelope, deed: Callable[[], Awaitable[Any]]) -> bytes:
        """One of the three borders where every error is caught: the daemon outlives any deed."""
        call_id = envelope.call_id
        try:
            reply = msgspec.json.encode(await deed())
        except GanetiError as error:
            _log.info("call failed", call_id=call_id, error=type(error).__name__, message=error.message)
            return _refusal(error)
        except OSError as error:
            _log.bug("call failed", error, call_id=call_id)
            return _refusal(Failed(f"node {self._host.name}: {str(error) or type(error).__name__}"))
        except Exception as error:
            _log.bug("bug in a call", error, call_id=call_id)
            return _refusal(
                Bug(f"node {self._host.name} failed in a way nobody foresaw: {type(error).__name__}: {error}")
            )
        return msgspec.json.encode(Answer(reply=msgspec.Raw(reply)))

    def _break_off_what_was_given_up(self) -> None:
        """A script of an hour must not hold up the undo of the job that was killed while it ran."""
        for call_id, (envelope, limit) in list(self._breakable.items()):
            if self._stale.is_given_up(envelope):
                del self._breakable[call_id]
                limit.reschedule(asyncio.get_running_loop().time())

    def _admit(self, epoch: int) -> None:
        if self._host.left.is_set():
            raise Refused(WRONG_STATE, f"node {self._host.name} has left the cluster")
        try:
            self._host.fence.admit(epoch)
        except OSError as error:
            raise Failed(f"cannot write down the master's epoch: {error}", epoch=epoch) from error

    def _open(self, data: bytes) -> Envelope:
        try:
            return _ENVELOPE.decode(data)
        except msgspec.MsgspecError as error:
            raise Refused(
                WRONG_INPUT, f"node {self._host.name} (version {self._host.version}) cannot read this call: {error}"
            ) from error

    def _decode(self, envelope: Envelope) -> tuple[Call[Any], Handler]:
        versions = f"the caller has version {envelope.version or 'unknown'}, this node {self._host.version}"
        try:
            tag = _KIND.decode(envelope.call).call
            if tag not in self._handlers:
                raise Refused(WRONG_INPUT, f"node {self._host.name} knows no call '{tag}'; {versions}", call=tag)
            kind, handler = self._handlers[tag]
            return msgspec.json.decode(envelope.call, type=kind), handler
        except msgspec.MsgspecError as error:
            raise Refused(WRONG_INPUT, f"node {self._host.name} cannot read this call: {error}; {versions}") from error


class _Kind(msgspec.Struct):
    call: str


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_KIND: Final = msgspec.json.Decoder(_Kind)


def _tag(call: Call[Any]) -> str:
    return str(call.__struct_config__.tag)


def _refusal(error: GanetiError) -> bytes:
    match error:
        case Refused():
            kind = "refused"
        case Unavailable():
            kind = "unavailable"
        case Failed():
            kind = "failed"
        case _:
            kind = "bug"
    reply = ErrorReply(
        error=kind,
        message=error.message,
        facts=dict(error.facts),
        code=error.code if isinstance(error, Refused) else None,
    )
    # A fact may be anything; what JSON cannot carry goes as its text.
    return msgspec.json.encode(Answer(error=reply), enc_hook=str)

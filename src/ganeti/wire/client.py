"""Asking a node: wrap a call, send it, ask again when the connection broke, unwrap what came back."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from ganeti.base.errors import Bug, Failed, GanetiError, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.contract.calls import Answer, Call, Envelope, ErrorReply, reply_type
from ganeti.contract.wire import Address, Wire
from ganeti.wire.lost import ConnectionLost

R = TypeVar("R")

PAUSES_S: Final = (0.1, 0.5)
"""Before the second and the third try of a call whose connection broke."""

_SHORTEST_TRY_S: Final = 0.05


class NodeClient:
    """Calls nodes in the name of one master epoch.

    `version` is ours, told to the node so that its errors can name both when they differ.
    """

    def __init__(self, wire: Wire, *, cluster_uuid: str, epoch: int, ids: Ids, version: str = "") -> None:
        self._wire = wire
        self._cluster_uuid = cluster_uuid
        self._epoch = epoch
        self._ids = ids
        self._version = version
        self._sender = ids.uuid()
        self._seq = 0
        self._open: dict[str, dict[int, None]] = {}
        """For each node the calls that somebody waits for."""

    async def call(self, address: Address, call: Call[R], *, timeout_s: float | None = None) -> R:
        """Ask and return the reply. `timeout_s`: instead of the call's own limit.

        Raises what the node raised (`Refused`, `Unavailable`, `Failed`, `Bug`) with the fact `node`, or
        `Unavailable` when no answer came: the deed may then be done or not. A broken connection is tried again with
        the same call id within the limit: the node has recorded the answer, so the deed is done once. After an
        `Unavailable` the node is told with the next call that this one is given up: it does not begin it any more.
        """
        limit_s = call.limit_s if timeout_s is None else timeout_s
        self._seq += 1
        seq, open_here = self._seq, self._open.setdefault(address.name, {})
        envelope = msgspec.json.encode(
            Envelope(
                cluster=self._cluster_uuid,
                epoch=self._epoch,
                call_id=self._ids.uuid(),
                call=msgspec.Raw(msgspec.json.encode(call)),
                version=self._version,
                sender=self._sender,
                seq=seq,
                open=tuple(open_here),
            )
        )
        open_here[seq] = None
        try:
            data = await self._exchange(address, envelope, limit_s)
        finally:
            del open_here[seq]
        return self._unwrap(address, type(call), data)

    async def _exchange(self, address: Address, envelope: bytes, limit_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        pauses = list(PAUSES_S)
        while True:
            try:
                return await self._wire.exchange(address, envelope, timeout_s=deadline_s - loop.time())
            except ConnectionLost as error:
                if not pauses or loop.time() + pauses[0] + _SHORTEST_TRY_S > deadline_s:
                    raise Unavailable(error.message, **error.facts) from error
                await asyncio.sleep(pauses.pop(0))

    def _unwrap(self, address: Address, kind: type[Call[R]], data: bytes) -> R:
        try:
            answer = _ANSWER.decode(data)
            if answer.error is None:
                reply: R = _reply_decoder(kind).decode(answer.reply)
                return reply
        except msgspec.MsgspecError as error:
            raise Failed(
                f"cannot understand the answer of node {address.name} to {kind.__struct_config__.tag}: {error}; "
                "do its version and ours differ?",
                node=address.name,
            ) from error
        raise error_of(answer.error, node=address.name)


def error_of(reply: ErrorReply, *, node: str) -> GanetiError:
    """The error a node sent, as it was raised there; with the fact `node`."""
    error: GanetiError
    match reply.error:
        case "refused":
            error = Refused(reply.code or "wrong_state", reply.message)  # type: ignore[arg-type]
        case "unavailable":
            error = Unavailable(reply.message)
        case "failed":
            error = Failed(reply.message)
        case _:
            error = Bug(reply.message)
    error.facts = {**reply.facts, "node": node}
    return error


_ANSWER: Final = msgspec.json.Decoder(Answer)


@cache
def _reply_decoder(kind: type[Call[Any]]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(reply_type(kind))

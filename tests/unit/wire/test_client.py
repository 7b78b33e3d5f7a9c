"""The client: one call id for all tries, and the node's error as it was raised there."""

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from ganeti.base.errors import Bug, Failed, GanetiError, Refused, Unavailable
from ganeti.base.ids import SeededIds
from ganeti.contract.calls import Answer, Call, Envelope, ErrorReply
from ganeti.contract.calls.node import NodeDelay, Ping, Pong
from ganeti.contract.wire import Address
from ganeti.wire.client import NodeClient
from ganeti.wire.lost import ConnectionLost

NODE1 = Address(name="node1", host="192.0.2.1", port=1811)
PONG = Pong(name="node1", version="4", now_s=1.0, epoch=7)


class Script:
    """A wire that does what it is told, one entry for each try, and keeps what was sent."""

    def __init__(self, *does: bytes | Exception) -> None:
        self._does = list(does)
        self.sent: list[Envelope] = []
        self.limits_s: list[float] = []

    async def exchange(self, to: Address, envelope: bytes, *, timeout_s: float) -> bytes:
        self.sent.append(msgspec.json.decode(envelope, type=Envelope))
        self.limits_s.append(timeout_s)
        now = self._does.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    async def close(self) -> None:
        self._does.clear()


def client(wire: Script) -> NodeClient:
    return NodeClient(wire, cluster_uuid="c", epoch=7, ids=SeededIds(random.Random(1)), version="4.0")


def answer(reply: object) -> bytes:
    return msgspec.json.encode(Answer(reply=msgspec.Raw(msgspec.json.encode(reply))))


async def test_a_call_travels_with_cluster_epoch_and_version_and_its_reply_is_typed():
    wire = Script(answer(PONG))
    assert await client(wire).call(NODE1, Ping()) == PONG
    (sent,) = wire.sent
    assert (sent.cluster, sent.epoch, sent.version) == ("c", 7, "4.0")
    assert bytes(sent.call) == b'{"call":"node.ping"}'
    assert wire.limits_s == [pytest.approx(Ping.timeout_s, abs=1)]


async def test_each_call_has_its_own_id():
    wire = Script(answer(PONG), answer(PONG))
    calling = client(wire)
    for _ in range(2):
        await calling.call(NODE1, Ping())
    assert len({sent.call_id for sent in wire.sent}) == 2


async def test_a_broken_connection_is_tried_again_with_the_same_call_id():
    wire = Script(ConnectionLost("broke"), ConnectionLost("broke"), answer(None))
    await client(wire).call(NODE1, NodeDelay(duration_s=0.0))
    assert len(wire.sent) == 3
    assert len({sent.call_id for sent in wire.sent}) == 1
    assert wire.limits_s == sorted(wire.limits_s, reverse=True)


async def test_a_node_that_stays_away_is_unavailable_in_the_words_of_the_last_try():
    wire = Script(*(ConnectionLost(f"broke {number}", node="node1") for number in range(9)))
    with pytest.raises(Unavailable, match="broke 2") as caught:
        await client(wire).call(NODE1, Ping())
    assert type(caught.value) is Unavailable
    assert caught.value.facts == {"node": "node1"}


async def test_what_no_repeat_can_mend_is_not_repeated():
    wire = Script(Unavailable("no answer within 10 s"), answer(PONG))
    with pytest.raises(Unavailable, match="no answer within"):
        await client(wire).call(NODE1, Ping())
    assert len(wire.sent) == 1


async def test_no_try_begins_that_could_not_end_within_the_limit():
    wire = Script(ConnectionLost("broke"), answer(PONG))
    begun_s = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="broke"):
        await client(wire).call(NODE1, Ping(), timeout_s=0.1)
    assert asyncio.get_running_loop().time() - begun_s < 5
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    "name,kind,code",
    [
        ("refused", Refused, "wrong_state"),
        ("unavailable", Unavailable, None),
        ("failed", Failed, None),
        ("bug", Bug, None),
        ("something newer", Bug, None),
    ],
)
async def test_an_error_of_the_node_is_raised_here_with_its_facts(
    name: str, kind: Callable[..., GanetiError], code: str | None
):
    facts = {"message": "a fact", "code": 7, "status": 3}
    reply = ErrorReply(error=name, message="it went wrong", facts=facts, code=code)
    wire = Script(msgspec.json.encode(Answer(error=reply)))
    with pytest.raises(GanetiError, match="it went wrong") as caught:
        await client(wire).call(NODE1, Ping())
    assert type(caught.value) is kind
    assert caught.value.facts == {**facts, "node": "node1"}
    assert getattr(caught.value, "code", None) == code


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"reply": {"name": 1}}', b'{"reply": null}', b"[]"])
async def test_an_answer_that_is_none_is_an_error_that_names_the_node(data: bytes):
    with pytest.raises(Failed, match=r"answer of node node1 to node\.ping"):
        await client(Script(data)).call(NODE1, Ping())


async def test_a_call_without_a_reply_returns_none():
    call: Call[None] = NodeDelay(duration_s=0.0)
    assert await client(Script(answer(None))).call(NODE1, call) is None  # type: ignore[func-returns-value]

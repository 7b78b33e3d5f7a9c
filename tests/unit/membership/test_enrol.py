"""Who is let in, and who is not: a real master, hosts that only say what hosts say."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ganeti.base.clock import LoopClock
from ganeti.base.errors import Refused
from ganeti.contract.join import Token, read_token
from ganeti.master.master import Master
from ganeti.wire import certificates
from tests.unit.membership.world import NAMES, World, proof, token_of

LIMIT_S = 20.0


async def ended(master: Master, job: int) -> str:
    """How a job ends."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            status = master.queue.find(job).job.status  # type: ignore[arg-type]
            if status in ("success", "error"):
                return status
            await asyncio.sleep(0.01)


async def come_in(world: World, master: Master, number: int = 2, **wish: object) -> None:
    """A host joins, from its token to the end of the job."""
    token = await token_of(master, **wish)
    status, answer = await world.join(token, number)
    assert status == 200, answer
    status, answer = await world.ask("/joined", proof(token), peer=f"192.0.2.{number}")
    assert status == 200, answer
    assert await ended(master, answer["job"]) == "success"


async def test_a_host_with_a_token_becomes_a_node_with_the_certificate_it_was_given() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master)
        status, answer = await world.join(token)
        assert status == 200, answer
        assert answer["settings"]["master_name"] == NAMES[0]
        assert answer["settings"]["callers"] == ["1" * 64]
        assert NAMES[1] not in master.state.picture.node_names, "not before its daemon has answered"
        status, answer_two = await world.ask("/joined", proof(token), peer="192.0.2.2")
        assert await ended(master, answer_two["job"]) == "success"
        node = master.state.picture.node(NAMES[1])
        assert node.certificate == certificates.fingerprint(answer["certificate"].encode())
        assert node.uuid == answer["settings"]["node_uuid"]
        assert node.master_candidate
        again = await world.ask("/joined", proof(token), peer="192.0.2.2")
        assert again == (200, answer_two), "a lost answer is asked for again, and adds nobody twice"


async def test_a_token_is_good_once() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master)
        one, other = await asyncio.gather(world.join(token, 2), world.join(token, 3))
        assert sorted([one[0], other[0]]) == [200, 400]
        refusal = one[1] if one[0] == 400 else other[1]
        assert "used already" in refusal["error"]["message"]


async def test_a_token_is_good_once_also_when_the_master_dies_between() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master)
        assert (await world.join(token, 2))[0] == 200
    async with world.master() as master:
        async with asyncio.timeout(LIMIT_S):
            while world.door.open is None:
                await asyncio.sleep(0.01)
        assert (await world.join(token, 3))[0] == 400
        status, answer = await world.ask("/joined", proof(token), peer="192.0.2.2")
        assert status == 200, "the host that has used it can go on with the new master"
        assert await ended(master, answer["job"]) == "success"


async def test_the_store_holds_no_secret() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master)
        assert token.secret not in b"".join(
            entry.value for entry in (await master.ports.store.read("")).entries.values()
        )


@pytest.mark.parametrize(
    "other, words",
    [
        ({"now_s": LoopClock.now_s}, "s behind the master's"),
        ({"protocol": 3_010_000}, "install the same here"),
        ({"primary_ip": "192.0.2.9"}, "reaches the master from 192.0.2.2"),
        ({"node_name": "node9.example.com"}, "does not resolve"),
        ({"node_name": NAMES[0], "primary_ip": "192.0.2.2"}, "192.0.2.1, not 192.0.2.2"),
        ({"node_name": "no name!"}, "not a valid node name"),
        ({"secondary_ip": "192.0.2.1"}, "that of node node1.example.com"),
        ({"secondary_ip": "192.0.2.200"}, "that of the cluster"),
        ({"secondary_ip": "198.51.100.2"}, "leave -s out"),
        ({"secondary_ip": "nonsense"}, "not an IP address"),
        ({"request": "nonsense"}, "cannot be read"),
        ({"secret": b"guessed"}, "not known here"),
        ({"id": "guessed"}, "not known here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_host_that_does_not_fit_is_refused_and_the_token_stays_good(
    other: dict[str, object], words: str
) -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master)
        if other.get("now_s"):
            other = {"now_s": LoopClock().now_s() - 151}
        status, answer = await world.join(token, 2, **other)
        assert status == 400
        assert words in answer["error"]["message"]
        assert (await world.join(token))[0] == 200


async def test_a_name_that_is_taken_is_refused_unless_the_node_comes_back() -> None:
    world = World(members=2)
    await world.prepare()
    async with world.master() as master:
        with pytest.raises(Refused, match="already in the cluster"):
            await token_of(master, node_name=NAMES[1])
        with pytest.raises(Refused, match="not in the cluster"):
            await token_of(master, node_name=NAMES[2], readd=True)
        with pytest.raises(Refused, match="is the master"):
            await token_of(master, node_name=NAMES[0], readd=True)
        before = master.state.picture.node(NAMES[1])
        status, answer = await world.join(await token_of(master))
        assert status == 400
        assert "already in the cluster" in answer["error"]["message"]
        await come_in(world, master, node_name=NAMES[1], readd=True)
        after = master.state.picture.node(NAMES[1])
        assert (after.uuid, after.group) == (before.uuid, before.group)
        assert after.certificate != before.certificate


async def test_a_token_expires_and_the_door_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganeti.master.enrol.LOOK_EVERY_S", 0.02)
    world = World()
    await world.prepare()
    async with world.master() as master:
        token = await token_of(master, ttl_s=1)
        async with asyncio.timeout(LIMIT_S):
            while world.door.open is not None:
                status, answer = await world.join(msgspec.structs.replace(token, secret=b"other"))
                assert (status, "not known here" in answer["error"]["message"]) == (400, True)
                await asyncio.sleep(0.05)
        assert (await master.ports.store.read("token/")).entries == {}


async def test_a_host_that_does_not_answer_or_has_another_version_is_not_added() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        for number, fault in ((2, {"silent": True}), (3, {"version": "3.1.0"}), (3, {"clock_off_s": 200.0})):
            node = world.nodes[NAMES[number - 1]]
            good = {name: getattr(node, name) for name in fault}
            for name, value in fault.items():
                setattr(node, name, value)
            token = await token_of(master)
            assert (await world.join(token, number))[0] == 200
            _, answer = await world.ask("/joined", proof(token), peer=f"192.0.2.{number}")
            assert await ended(master, answer["job"]) == "error"
            assert len(master.state.picture.nodes) == 1
            for name, value in good.items():
                setattr(node, name, value)


async def test_nonsense_at_the_door_is_refused() -> None:
    world = World()
    await world.prepare()
    async with world.master() as master:
        await token_of(master)
        assert (await world.ask("/join", {"id": 7}, peer="192.0.2.2"))[0] == 400
        assert (await world.ask("/jobs", {}, peer="192.0.2.2"))[0] == 400


def test_a_token_survives_copying_and_nothing_else_passes_for_one() -> None:
    token = Token(host="192.0.2.1", port=1812, authority=bytes(32), id="ab", secret=b"x" * 24)
    text = token.text()
    assert read_token(f"  {text[:20]}\n{text[20:]} ") == token
    wrong = [text[:-1], text[1:], text.replace("1", "l", 1), "", "gnt1", "gnt1" + "A" * 40, text + "A", "gnt1é"]
    for each in wrong:
        with pytest.raises(Refused, match="not a whole join token"):
            read_token(each)

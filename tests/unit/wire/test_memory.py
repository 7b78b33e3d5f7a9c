"""The faults of the wire in memory: each does what it says, and all repeat with the seed."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from ganeti.base.errors import Unavailable
from ganeti.base.ids import SeededIds
from ganeti.base.tasks import Scope
from ganeti.contract.calls.node import NodeDelay
from ganeti.contract.wire import Address
from ganeti.wire.client import NodeClient
from ganeti.wire.lost import ConnectionLost
from ganeti.wire.memory import NO_FAULTS, Faults, MemoryNetwork

NODE1 = Address(name="node1", host="192.0.2.1", port=1811)


class Node:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []
        self.again = asyncio.Event()

    async def serve(self, data: bytes, caller: str) -> bytes:
        self.arrived.append(data)
        if len(self.arrived) > 1:
            self.again.set()
        return b"{}"


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def network(node: Node) -> AsyncIterator[MemoryNetwork]:
    async with Scope() as scope:
        made = MemoryNetwork(scope=scope, rng=random.Random(1))
        made.attach("node1", node.serve)
        yield made


async def send(network: MemoryNetwork, *, timeout_s: float = 30.0) -> bytes:
    wire = network.wire(source="master", certificate="ab")
    return await wire.exchange(NODE1, b"x", timeout_s=timeout_s)


async def test_a_lost_call_never_arrives(network: MemoryNetwork, node: Node):
    network.faults = Faults(call_lost=1.0, silent=0.0)
    with pytest.raises(ConnectionLost, match="the call was lost"):
        await send(network)
    assert node.arrived == []


async def test_a_lost_answer_belongs_to_a_deed_that_is_done(network: MemoryNetwork, node: Node):
    network.faults = Faults(answer_lost=1.0, silent=0.0)
    with pytest.raises(ConnectionLost, match="the answer was lost"):
        await send(network)
    assert node.arrived == [b"x"]


async def test_what_is_lost_in_silence_costs_the_caller_its_whole_limit(network: MemoryNetwork, node: Node):
    network.faults = Faults(answer_lost=1.0, silent=1.0)
    with pytest.raises(Unavailable, match=r"within 0\.01 s") as caught:
        await send(network, timeout_s=0.01)
    assert not isinstance(caught.value, ConnectionLost)


async def test_a_doubled_call_arrives_twice(network: MemoryNetwork, node: Node):
    network.faults = Faults(doubled=1.0, late_s=0.001)
    await send(network)
    async with asyncio.timeout(30):
        await node.again.wait()
    assert node.arrived == [b"x", b"x"]


async def test_between_two_that_are_cut_off_all_is_silence_until_mended(network: MemoryNetwork, node: Node):
    network.cut("node1", "master")
    with pytest.raises(Unavailable, match="no answer"):
        await send(network, timeout_s=0.01)
    other = network.wire(source="node2", certificate="cd")
    assert await other.exchange(NODE1, b"y", timeout_s=30) == b"{}"
    network.mend("master", "node1")
    assert await send(network) == b"{}"
    assert node.arrived == [b"y", b"x"]


async def test_a_killed_node_stops_its_deeds_and_comes_back_when_attached(network: MemoryNetwork, node: Node):
    begun, broken_off = asyncio.Event(), asyncio.Event()

    async def hang(data: bytes, caller: str) -> bytes:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            broken_off.set()
        return b""

    network.attach("node1", hang)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asking = group.create_task(send_lost(network))
        await begun.wait()
        network.kill("node1")
        assert "died" in await asking
        await broken_off.wait()
    assert "connection refused" in await send_lost(network)
    network.attach("node1", node.serve)
    assert await send(network) == b"{}"


async def send_lost(network: MemoryNetwork) -> str:
    with pytest.raises(ConnectionLost) as caught:
        await send(network)
    return caught.value.message


async def test_the_same_seed_repeats_the_same_faults():
    async def run(seed: int) -> list[str]:
        said: list[str] = []
        node = Node()
        async with Scope() as scope:
            network = MemoryNetwork(
                scope=scope,
                rng=random.Random(seed),
                faults=Faults(call_lost=0.3, answer_lost=0.3, doubled=0.3, silent=0.0, delay_s=0.0, late_s=0.0),
            )
            network.attach("node1", node.serve)
            for _ in range(50):
                try:
                    said.append((await send(network)).decode())
                except Unavailable as error:
                    said.append(error.message)
            said.append(str(len(node.arrived)))
        return said

    assert await run(3) == await run(3)
    assert await run(3) != await run(4)


async def test_the_client_gets_through_where_every_second_message_is_lost(network: MemoryNetwork, node: Node):
    network.faults = Faults(call_lost=0.5, silent=0.0)
    calling = NodeClient(
        network.wire(source="master", certificate="ab"),
        cluster_uuid="c",
        epoch=1,
        ids=SeededIds(random.Random(1)),
    )
    passed = 0
    for _ in range(5):
        try:
            await calling.call(NODE1, NodeDelay(duration_s=0.0))
            passed += 1
        except Unavailable:
            continue
    assert passed >= 3
    assert NO_FAULTS.call_lost == 0.0

"""What every wire does, over TLS on loopback and in memory alike."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ganeti.base.errors import Unavailable
from ganeti.base.ids import SystemIds
from ganeti.base.tasks import Scope
from ganeti.contract.wire import Address, Serve, Wire
from ganeti.wire import certificates
from ganeti.wire.memory import MemoryNetwork
from ganeti.wire.tls import TlsWire
from ganeti.wire.tls_server import serve_tls


@dataclass
class Node:
    """A node daemon that does what a test says, and what it has seen."""

    wire: Wire
    address: Address
    caller: str
    die: Callable[[], object]
    behave: Serve
    seen: list[tuple[bytes, str]]


async def echo(data: bytes, caller: str) -> bytes:
    return b"echo " + data


@pytest.fixture(params=["tls", "memory"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    made: Node

    async def serve(data: bytes, caller: str) -> bytes:
        made.seen.append((data, caller))
        return await made.behave(data, caller)

    if request.param == "memory":
        async with Scope() as scope:
            network = MemoryNetwork(scope=scope, rng=random.Random(1))
            network.attach("node1.example.com", serve)
            made = Node(
                wire=network.wire(source="master", certificate="ab" * 32),
                address=Address(name="node1.example.com", host="192.0.2.1", port=1811),
                caller="ab" * 32,
                die=lambda: network.kill("node1.example.com"),
                behave=echo,
                seen=[],
            )
            yield made
            await made.wire.close()
        return

    ids, now_s = SystemIds(), time.time()
    ca = certificates.make_ca(cluster_name="c1", serial=certificates.fresh_serial(ids), now_s=now_s)
    pairs = {
        name: certificates.make_node(
            ca,
            node_name=f"{name}.example.com",
            addresses=["127.0.0.1"],
            serial=certificates.fresh_serial(ids),
            now_s=now_s,
        )
        for name in ("node1", "master")
    }
    (tmp_path / "ca.pem").write_bytes(ca.certificate)
    for name, pair in pairs.items():
        (tmp_path / f"{name}.pem").write_bytes(pair.pem)
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def daemon() -> None:
        async with serve_tls(
            "127.0.0.1",
            0,
            certificate_file=str(tmp_path / "node1.pem"),
            ca_file=str(tmp_path / "ca.pem"),
            serve=serve,
            finish_within_s=0.1,
        ) as port:
            listening.set_result(port)
            await stop.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(daemon())
        made = Node(
            wire=TlsWire(str(tmp_path / "master.pem"), str(tmp_path / "ca.pem")),
            address=Address(
                name="node1.example.com",
                host="127.0.0.1",
                port=await listening,
                certificate=certificates.fingerprint(pairs["node1"].pem),
            ),
            caller=certificates.fingerprint(pairs["master"].pem),
            die=stop.set,
            behave=echo,
            seen=[],
        )
        yield made
        await made.wire.close()
        stop.set()


async def test_an_envelope_comes_back_as_the_answer_of_the_node(node: Node):
    assert await node.wire.exchange(node.address, b"hello", timeout_s=30) == b"echo hello"


async def test_the_node_sees_whose_certificate_called(node: Node):
    await node.wire.exchange(node.address, b"x", timeout_s=30)
    assert node.seen == [(b"x", node.caller)]


async def test_calls_to_one_node_run_side_by_side(node: Node):
    both = asyncio.Barrier(2)

    async def meet(data: bytes, caller: str) -> bytes:
        async with both:
            return data

    node.behave = meet
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(node.wire.exchange(node.address, data, timeout_s=30)) for data in (b"a", b"b")]
    assert [answer.result() for answer in answers] == [b"a", b"b"]


async def test_large_messages_pass_both_ways(node: Node):
    envelope = bytes(3 * 1024 * 1024)
    assert len(await node.wire.exchange(node.address, envelope, timeout_s=60)) == len(envelope) + 5


async def test_no_answer_in_time_names_the_node_and_the_limit_and_the_deed_goes_on(node: Node):
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes, caller: str) -> bytes:
        await go.wait()
        done.set()
        return b""

    node.behave = slow
    with pytest.raises(Unavailable, match=r"node1\.example\.com.*within 0\.5 s") as caught:
        await node.wire.exchange(node.address, b"x", timeout_s=0.5)
    assert caught.value.facts == {"node": "node1.example.com"}
    go.set()
    async with asyncio.timeout(30):
        await done.wait()


async def test_a_dead_node_daemon_is_named_with_the_way_to_start_it(node: Node):
    await node.wire.exchange(node.address, b"x", timeout_s=30)
    node.die()
    said = ""
    async with asyncio.timeout(30):
        while "refused" not in said:
            try:
                await node.wire.exchange(node.address, b"x", timeout_s=10)
            except Unavailable as error:
                said = error.message
            await asyncio.sleep(0.01)
    assert said.startswith("the node daemon of node1.example.com does not answer on ")
    assert f"{node.address.host}:{node.address.port}" in said
    assert "`ganeti-daemons start`" in said


async def test_a_node_that_dies_during_a_call_is_noticed_at_once(node: Node):
    started = asyncio.Event()

    async def hang(data: bytes, caller: str) -> bytes:
        started.set()
        await asyncio.get_running_loop().create_future()
        return b""

    node.behave = hang
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:

        async def ask() -> None:
            with pytest.raises(Unavailable, match=r"node1\.example\.com"):
                await node.wire.exchange(node.address, b"x", timeout_s=3600)

        group.create_task(ask())
        await started.wait()
        node.die()

"""Whom the TLS wire turns away: every caller and every server that is not exactly who it should be."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ganeti.base.errors import Unavailable
from ganeti.base.ids import SystemIds
from ganeti.contract.wire import Address
from ganeti.wire import certificates
from ganeti.wire.tls import CALL_PATH, TlsWire
from ganeti.wire.tls_server import serve_tls


class Cluster:
    """An authority and the PEM files of its nodes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self._ids = SystemIds()
        self._ca = certificates.make_ca(cluster_name=directory.name, serial=self._serial(), now_s=time.time())
        self.ca_file = str(directory / "ca.pem")
        Path(self.ca_file).write_bytes(self._ca.certificate)

    def node(self, name: str, *, now_s: float | None = None, valid_s: float = 3600.0) -> str:
        pair = certificates.make_node(
            self._ca,
            node_name=name,
            addresses=["127.0.0.1"],
            serial=self._serial(),
            now_s=time.time() if now_s is None else now_s,
            valid_s=valid_s,
        )
        path = self.directory / f"{name}.pem"
        path.write_bytes(pair.pem)
        return str(path)

    def _serial(self) -> int:
        return certificates.fresh_serial(self._ids)


@pytest.fixture
def ours(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "ours")


@pytest.fixture
def foreign(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "foreign")


@contextlib.asynccontextmanager
async def daemon(cluster: Cluster, certificate_file: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    served: list[bytes] = []

    async def serve(data: bytes, caller: str) -> bytes:
        served.append(data)
        return b"done"

    async with serve_tls(
        "127.0.0.1", 0, certificate_file=certificate_file, ca_file=cluster.ca_file, serve=serve, finish_within_s=0.1
    ) as port:
        yield port, served


@contextlib.asynccontextmanager
async def wire(cluster: Cluster, certificate_file: str) -> AsyncIterator[TlsWire]:
    made = TlsWire(certificate_file, cluster.ca_file, connect_timeout_s=30.0)
    try:
        yield made
    finally:
        await made.close()


def node1(port: int, certificate: str = "") -> Address:
    return Address(name="node1", host="127.0.0.1", port=port, certificate=certificate)


async def test_a_caller_of_a_foreign_authority_is_turned_away(ours: Cluster, foreign: Cluster):
    stranger = foreign.node("master")
    Path(foreign.ca_file).write_bytes(Path(ours.ca_file).read_bytes())  # it trusts us; we do not trust it
    async with daemon(ours, ours.node("node1")) as (port, served), wire(foreign, stranger) as calling:
        with pytest.raises(Unavailable, match="not accept our certificate"):
            await calling.exchange(node1(port), b"x", timeout_s=30)
        assert served == []


async def test_a_server_of_a_foreign_authority_gets_no_call(ours: Cluster, foreign: Cluster):
    async with daemon(foreign, foreign.node("node1")) as (port, served), wire(ours, ours.node("master")) as calling:
        with pytest.raises(Unavailable, match=r"is not node node1.*certificate was not accepted"):
            await calling.exchange(node1(port), b"x", timeout_s=30)
        assert served == []


async def test_another_node_of_our_cluster_does_not_pass_for_this_one(ours: Cluster):
    async with daemon(ours, ours.node("node2")) as (port, served), wire(ours, ours.node("master")) as calling:
        with pytest.raises(Unavailable, match=r"is not node node1.*(?i:mismatch)"):
            await calling.exchange(node1(port), b"x", timeout_s=30)
        assert served == []


async def test_a_certificate_other_than_the_known_one_gets_no_call(ours: Cluster):
    file = ours.node("node1")
    known = certificates.fingerprint(Path(file).read_bytes())
    renewed = ours.node("node1")
    async with daemon(ours, renewed) as (port, served), wire(ours, ours.node("master")) as calling:
        with pytest.raises(Unavailable, match=f"is not node node1.*the cluster knows {known}"):
            await calling.exchange(node1(port, known), b"x", timeout_s=30)
        assert served == []
        new = certificates.fingerprint(Path(renewed).read_bytes())
        assert await calling.exchange(node1(port, new), b"x", timeout_s=30) == b"done"


async def test_a_connection_made_without_a_pin_is_not_used_for_a_call_with_one(ours: Cluster):
    async with daemon(ours, ours.node("node1")) as (port, served), wire(ours, ours.node("master")) as calling:
        await calling.exchange(node1(port), b"x", timeout_s=30)
        with pytest.raises(Unavailable, match="is not node node1"):
            await calling.exchange(node1(port, "00" * 32), b"y", timeout_s=30)
        assert served == [b"x"]


async def test_an_expired_certificate_is_refused_on_both_ends(ours: Cluster):
    past_s = time.time() - 400 * certificates.DAY_S
    async with daemon(ours, ours.node("node1", now_s=past_s)) as (port, served):
        async with wire(ours, ours.node("master")) as calling:
            with pytest.raises(Unavailable, match="expired"):
                await calling.exchange(node1(port), b"x", timeout_s=30)
        assert served == []
    async with daemon(ours, ours.node("node1")) as (port, served):
        async with wire(ours, ours.node("master", now_s=past_s)) as calling:
            with pytest.raises(Unavailable, match="not accept our certificate"):
                await calling.exchange(node1(port), b"x", timeout_s=30)
        assert served == []


async def test_a_caller_without_a_certificate_is_turned_away(ours: Cluster):
    async with daemon(ours, ours.node("node1")) as (port, served):
        tls = ssl.create_default_context(cafile=ours.ca_file)
        assert await ask(port, tls) == b""
        assert served == []


async def test_plaintext_is_turned_away(ours: Cluster):
    async with daemon(ours, ours.node("node1")) as (port, served):
        assert b"HTTP" not in await ask(port, None)
        assert served == []


async def test_old_tls_is_turned_away(ours: Cluster):
    file = ours.node("master")
    async with daemon(ours, ours.node("node1")) as (port, served):
        tls = ssl.create_default_context(cafile=ours.ca_file)
        tls.load_cert_chain(file)
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, tls)
        assert served == []


async def test_a_server_without_tls_is_named_as_such(ours: Cluster):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-something\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, wire(ours, ours.node("master")) as calling:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="does not speak the TLS of a node daemon"):
            await calling.exchange(node1(port), b"x", timeout_s=30)


async def test_a_port_nobody_listens_on_is_told_in_words(ours: Cluster):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        port = taken.getsockname()[1]
        async with wire(ours, ours.node("master")) as calling:
            with pytest.raises(Unavailable) as caught:
                await calling.exchange(node1(port), b"x", timeout_s=30)
    assert caught.value.message == (
        f"the node daemon of node1 does not answer on 127.0.0.1:{port}: connection refused; "
        "start it there with `ganeti-daemons start`"
    )
    assert caught.value.facts == {"node": "node1"}


async def test_only_a_post_to_the_call_path_is_served(ours: Cluster):
    file = ours.node("master")
    async with daemon(ours, ours.node("node1")) as (port, served):
        tls = ssl.create_default_context(cafile=ours.ca_file)
        tls.load_cert_chain(file)
        assert (await ask(port, tls, method="GET")).startswith(b"HTTP/1.1 405 ")
        assert (await ask(port, tls, path="/")).startswith(b"HTTP/1.1 404 ")
        assert served == []


async def ask(port: int, tls: ssl.SSLContext | None, *, method: str = "POST", path: str = CALL_PATH) -> bytes:
    """Send a request by hand and return all that comes back."""
    name = "node1" if tls is not None else None
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\n".encode())
            writer.write(b"Content-Length: 1\r\n\r\nx")
            return await reader.read()
        except (ssl.SSLError, ConnectionError):
            if tls is not None and tls.maximum_version == ssl.TLSVersion.TLSv1_2:
                raise
            return b""
        finally:
            writer.transport.abort()

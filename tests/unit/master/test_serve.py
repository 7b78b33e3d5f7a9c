"""The local API as it is on the wire: a unix socket, HTTP, JSON."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ganeti.base.clock import LoopClock
from ganeti.base.ids import SeededIds
from ganeti.base.paths import Paths
from ganeti.main.catalog import build_catalog
from ganeti.master import serve
from ganeti.master.master import Master, Ports, at_work
from ganeti.master.serve import serving
from ganeti.store.memory import MemoryStore
from tests.unit.master.desk import LIMIT_S, Desk, Gate, Probe, probe


@asynccontextmanager
async def master_of(desk: Desk) -> AsyncIterator[Master]:
    """A whole master on the store of the desk."""
    catalog, addressing = build_catalog()
    ports = Ports(
        store=await MemoryStore.open(desk.disk),
        archive=desk.archive,
        caller=lambda cluster, epoch: desk.caller,
        clock=LoopClock(),
        ids=SeededIds(random.Random(1)),
        catalog=catalog,
        addressing=addressing,
        paths=Paths(),
        version="test",
    )
    async with at_work(ports) as master:
        yield master


class Client:
    """Asks over the socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(self, method: str, path: str, body: bytes | None = None, **fields: Any) -> tuple[int, Any]:
        """(status, answer)."""
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._path)) as session,
            session.request(method, f"http://master{path}", data=body, json=fields if body is None else None) as reply,
        ):
            is_json = reply.content_type == "application/json"
            return reply.status, await reply.json() if is_json else await reply.text()


@asynccontextmanager
async def served(desk: Desk, tmp_path: Path) -> AsyncIterator[Client]:
    """A master that is served, and who asks it."""
    path = str(tmp_path / "socket")
    async with master_of(desk) as master, serving(master, path, stop=lambda: None):
        yield Client(path)


async def test_a_job_is_submitted_watched_and_shown_without_its_secrets(desk: Desk, tmp_path: Path) -> None:
    async with served(desk, tmp_path) as client:
        status, answer = await client.ask(
            "POST", "/jobs", jobs=[[probe(secret={"root": "xyzzy"})], [probe("odd", x=1)]]
        )
        assert status == 200
        job = answer["jobs"][0]["id"]
        assert answer["jobs"][1]["error"]["code"] == "wrong_input"
        news: dict[str, Any] = {"status": None}
        async with asyncio.timeout(LIMIT_S):
            while news["status"] != "success":
                _, news = await client.ask(
                    "POST", f"/jobs/{job}/wait", status=news["status"], log_serial=0, timeout_s=9
                )
        _, shown = await client.ask("GET", f"/jobs/{job}")
        assert "xyzzy" not in str(shown)


@pytest.mark.parametrize("name", ["²", "9" * 5000, "x", "-1"])
async def test_what_is_no_job_id_is_refused_as_that(desk: Desk, tmp_path: Path, name: str) -> None:
    async with served(desk, tmp_path) as client:
        status, answer = await client.ask("GET", f"/jobs/{name}")
        assert status == 400
        assert answer["error"]["class"] == "refused"


async def test_a_request_that_is_too_large_is_refused_and_is_no_bug(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "LARGEST_REQUEST_BYTES", 1000)
    async with served(desk, tmp_path) as client:
        status, _ = await client.ask("POST", "/jobs", b'{"jobs": [' + b" " * 2000 + b"]}")
        assert status == 413


async def test_a_request_that_cannot_be_read_says_where(desk: Desk, tmp_path: Path) -> None:
    async with served(desk, tmp_path) as client:
        status, answer = await client.ask("POST", "/jobs", jobs=7)
        assert status == 400
        assert "$.jobs" in answer["error"]["message"]


ASKS = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /ping HTTP/1.1\\r\\nHost: master\\r\\nConnection: close\\r\\n\\r\\n")
    while data := sock.recv(4096):
        sys.stdout.buffer.write(data)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_is_refused_by_what_the_kernel_says_of_him(desk: Desk) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        async with served(desk, Path(directory)):
            os.chmod(f"{directory}/socket", 0o666)  # so that only the check of the peer is in his way
            nobody = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", ASKS, f"{directory}/socket", stdout=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(LIMIT_S):
                said, _ = await nobody.communicate()
    assert said.startswith(b"HTTP/1.1 400")
    assert b"only root may command the cluster" in said


async def test_who_watches_a_job_does_not_hold_up_the_end_of_the_daemon(
    desk: Desk, operation: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "FINISH_WITHIN_S", 0.1)
    gate = operation.deeds["wait"] = Gate()
    async with asyncio.TaskGroup() as group:

        async def watch(client: Client, job: int) -> None:
            with pytest.raises(aiohttp.ClientError):
                await client.ask("POST", f"/jobs/{job}/wait", status="running", log_serial=0, timeout_s=100)

        async with served(desk, tmp_path) as client:
            _, answer = await client.ask("POST", "/jobs", jobs=[[probe("wait")]])
            await gate.reached.wait()
            watcher = group.create_task(watch(client, answer["jobs"][0]["id"]))
            await client.ask("GET", "/ping")
        async with asyncio.timeout(LIMIT_S):
            await watcher

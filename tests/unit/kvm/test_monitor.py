"""A monitor that does not greet, hangs up, says no or says nothing: each ends in time, with its own error."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Disconnected, session

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}
Answer = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def qemu(answer: Answer, *, greets: bool = True) -> AsyncIterator[str]:
    """A QMP server that treats every command but the first (qmp_capabilities) as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greets:
            say(writer, GREETING)
        text = ""
        while data := await reader.read(65_536):
            text += data.decode()  # messages are not ended by a newline
            command, end = json.JSONDecoder().raw_decode(text)
            text = text[end:].lstrip()
            if command["execute"] == "qmp_capabilities":
                say(writer, {"return": {}})
            else:
                await answer(command, writer)
        writer.close()

    with tempfile.TemporaryDirectory(prefix="gt") as directory:
        path = str(Path(directory) / "qmp")
        async with await asyncio.start_unix_server(serve, path):
            yield path


def say(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\r\n")


async def returns(command: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    event = {"event": "RTC_CHANGE", "data": {}, "timestamp": {"seconds": 1, "microseconds": 0}}
    say(writer, event)  # events come at any time, also before an answer
    say(writer, {"return": {"status": "running", "asked": command}, "id": command["id"]})


async def says_no(command: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    say(writer, {"error": {"class": "GenericError", "desc": "no such balloon"}, "id": command["id"]})


async def hangs_up(command: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.close()


async def keeps_silent(command: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Nothing is written."""


async def talks_nonsense(command: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"{]\r\n")


async def test_commands_carry_their_arguments_and_return_the_answer() -> None:
    async with qemu(returns) as path, session(path) as monitor:
        answer = await monitor.execute("migrate", max_bandwidth=5)
        status = await monitor.status()

    assert answer["asked"]["arguments"] == {"max-bandwidth": 5}
    assert status == "running"


async def test_a_no_is_told_in_qemus_words_and_the_session_goes_on() -> None:
    async with qemu(says_no) as path, session(path) as monitor:
        for _ in range(2):
            with pytest.raises(CommandError, match="no such balloon"):
                await monitor.execute("balloon", value=1)


async def test_a_hang_up_is_not_a_no() -> None:
    async with qemu(hangs_up) as path, session(path) as monitor:
        with pytest.raises(Disconnected, match="hung up during 'quit'"):
            await monitor.execute("quit")


async def test_silence_ends_in_time() -> None:
    async with qemu(keeps_silent) as path, session(path) as monitor:
        with pytest.raises(Disconnected, match=r"did not answer 'query-status' within 0.05 s"):
            await monitor.status(within_s=0.05)


async def test_nonsense_is_a_lost_connection() -> None:
    async with qemu(talks_nonsense) as path, session(path) as monitor:
        with pytest.raises(Disconnected):
            await monitor.status()


async def test_a_monitor_that_does_not_greet_is_given_up_in_time() -> None:
    async with qemu(keeps_silent, greets=False) as path:
        with pytest.raises(Disconnected, match=r"did not greet within 0.05 s"):
            async with session(path, within_s=0.05):
                pytest.fail("there was no greeting")


async def test_a_monitor_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Disconnected, match="nobody answers"):
        async with session(str(tmp_path / "qmp")):
            pytest.fail("there was no monitor")


async def test_cancelling_a_command_leaves_no_task_behind() -> None:
    async with qemu(keeps_silent) as path:
        before = asyncio.all_tasks()
        asked = asyncio.Event()

        async def ask() -> None:
            async with session(path) as monitor:
                asked.set()
                await monitor.status()

        task = asyncio.ensure_future(ask())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        of_server = {each for each in asyncio.all_tasks() if "serve" in repr(each.get_coro())}
        assert asyncio.all_tasks() - before - of_server == set()

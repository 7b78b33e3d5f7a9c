"""QEMU's monitor (QMP): short sessions, always with a time limit, and two kinds of failure that callers tell apart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ganeti.base.errors import GanetiError

if TYPE_CHECKING:  # the package is imported where it is used: the master reads our TRAITS and needs no monitor
    from qemu.qmp import QMPClient

CONNECT_LIMIT_S = 10.0
COMMAND_LIMIT_S = 30.0
_HANG_UP_LIMIT_S = 2.0


class Disconnected(GanetiError):
    """The monitor is not there, hung up, or does not answer in time."""


class CommandError(GanetiError):
    """QEMU understood and said no; the message is its own."""


class Monitor:
    """An open session."""

    def __init__(self, client: QMPClient, path: str) -> None:
        self._client = client
        self._path = path

    async def execute(self, command: str, *, within_s: float = COMMAND_LIMIT_S, **arguments: Any) -> Any:
        """Run a command (underscores in argument names become hyphens) and return what QEMU answers."""
        from qemu.qmp import ExecuteError, QMPError

        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            async with asyncio.timeout(within_s):
                return await self._client.execute(command, words or None)
        except ExecuteError as error:
            raise CommandError(str(error), command=command) from error
        except TimeoutError as error:
            raise Disconnected(
                f"QEMU did not answer '{command}' within {within_s:g} s", path=self._path, command=command
            ) from error
        except (QMPError, OSError, EOFError) as error:
            raise Disconnected(f"QEMU hung up during '{command}'", path=self._path, command=command) from error

    async def status(self, *, within_s: float = COMMAND_LIMIT_S) -> str:
        """QEMU's run state: `running`, `paused`, `prelaunch`, `shutdown`, ..."""
        answer = await self.execute("query-status", within_s=within_s)
        return str(answer["status"])


@asynccontextmanager
async def session(path: str, *, within_s: float = CONNECT_LIMIT_S) -> AsyncIterator[Monitor]:
    """Connect to the monitor at a unix socket. `Disconnected` when nobody answers there in time."""
    from qemu.qmp import QMPClient, QMPError

    # It logs every hang-up as an error; to us a hang-up is an answer, raised as `Disconnected`.
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
    client = QMPClient("ganeti")
    try:
        try:
            async with asyncio.timeout(within_s):
                await client.connect(path)
        except TimeoutError as error:
            raise Disconnected(f"the monitor {path} did not greet within {within_s:g} s", path=path) from error
        except (QMPError, OSError, EOFError) as error:
            raise Disconnected(f"nobody answers at the monitor {path}", path=path) from error
        yield Monitor(client, path)
    finally:
        try:
            async with asyncio.timeout(_HANG_UP_LIMIT_S):
                await client.disconnect()
        except (QMPError, OSError, EOFError, TimeoutError):
            pass  # the other side hung up first, or never will: the socket is closed either way

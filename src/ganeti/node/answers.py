"""The record of answers: a call that comes again, because its answer got lost, is answered and not done again.

In memory only: after a restart of the daemon a repeat is done again, which is harmless since a call says how
things shall be. What the record adds is that a repeat neither races with the first nor reports its leftovers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from ganeti.base.errors import Unavailable

MOST_ANSWERS: Final = 1000


class Answers:
    """The last `limit` answers by call id, and the calls that are still at work."""

    def __init__(self, *, limit: int = MOST_ANSWERS) -> None:
        self._limit = limit
        self._done: OrderedDict[str, bytes] = OrderedDict()
        self._running: dict[str, asyncio.Future[bytes]] = {}

    async def once(self, call_id: str, deed: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer of `deed`, which runs only if no call with that id ran or runs.

        `Unavailable` for those who wait for a deed that is broken off, because the daemon stops say.
        """
        recorded = self._done.get(call_id)
        if recorded is not None:
            self._done.move_to_end(call_id)
            return recorded
        running = self._running.get(call_id)
        if running is not None:
            return await asyncio.shield(running)
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._running[call_id] = result
        try:
            answer = await deed()
        except BaseException:
            result.set_exception(Unavailable("the call was broken off before its end"))
            result.exception()  # nobody may be waiting
            raise
        else:
            result.set_result(answer)
            self._done[call_id] = answer
            while len(self._done) > self._limit:
                self._done.popitem(last=False)
            return answer
        finally:
            del self._running[call_id]

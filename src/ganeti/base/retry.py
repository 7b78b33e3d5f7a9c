"""Retrying with growing pauses and a limit; every loop that waits for the world uses this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def attempts(
    *, within_s: float, first_pause_s: float = 0.05, factor: float = 1.5, longest_pause_s: float = 2.0
) -> AsyncIterator[int]:
    """Yield 0, 1, 2, ... with growing pauses between, until `within_s` has passed; the last try is at the end.

    The caller returns or breaks on success and says what went wrong after the loop.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    pause_s, number = first_pause_s, 0
    while True:
        yield number
        left_s = deadline_s - loop.time()
        if left_s <= 0:
            return
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * factor, longest_pause_s)
        number += 1

"""Wall-clock time as a port. Waiting needs no port: it follows the event loop, which simulation replaces."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the time of day comes from."""

    def now_s(self) -> float:
        """Seconds since the epoch (UTC)."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return time.time()


class LoopClock:
    """The time of day of a simulated world: its loop's virtual seconds after a fixed date."""

    def __init__(self, epoch_s: float = 1_800_000_000.0) -> None:
        self._epoch_s = epoch_s

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return self._epoch_s + asyncio.get_running_loop().time()

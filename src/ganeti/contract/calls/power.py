"""Calls about the power of hosts: an out-of-band program that the operator has installed on the master."""

from __future__ import annotations

from typing import Literal

import msgspec

from ganeti.contract.calls import Call

PowerCommand = Literal["power-on", "power-off", "power-cycle", "power-status", "health"]


class PowerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the program printed, and how it ended."""

    status: int
    stdout: str = ""
    stderr: str = ""


class PowerRun(Call[PowerAnswer], frozen=True, kw_only=True, tag="power.run"):
    """Run `PROGRAM COMMAND HOST` here. The host is another one: this is called on the master."""

    program: str
    command: PowerCommand
    host: str
    within_s: float = 60.0

    @property
    def limit_s(self) -> float:
        """The program's time, and some for the way."""
        return self.within_s + 30.0

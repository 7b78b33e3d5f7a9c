"""Calls about guests that move between nodes while they run; `contract.migration` tells the order and why."""

from __future__ import annotations

from typing import ClassVar

from ganeti.contract.calls import Call
from ganeti.contract.calls.instance import Objections
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.migration import Landing, Moving, Pace, Progress


class MovingGet(Call[Moving], frozen=True, kw_only=True, tag="migration.moving"):
    """How does the guest really run?"""

    only_reads: ClassVar[bool] = True
    guest: Guest


class MigrationCheck(Call[Objections], frozen=True, kw_only=True, tag="migration.check"):
    """Could the guest come here as it runs? Links, parameters, version. Changes nothing.

    `disks_exist`: its data must be here already; else there must be none in its place.
    """

    only_reads: ClassVar[bool] = True
    moving: Moving
    disks_exist: bool
    ignore_version: bool = False


class MigrationReceive(Call[Landing], frozen=True, kw_only=True, tag="migration.receive"):
    """Target: assemble the disks and wait for the guest. `guest` is that of `moving`. When it fails nothing is left."""

    timeout_s: ClassVar[float] = 300.0
    guest: Guest
    moving: Moving
    address: str
    peer: str
    copies_disks: bool
    pace: Pace


class MigrationAbort(Call[None], frozen=True, kw_only=True, tag="migration.abort"):
    """Target: wait no longer, and put the disks away. A guest that has gone on there is left alone."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest


class MigrationSend(Call[None], frozen=True, kw_only=True, tag="migration.send"):
    """Source: begin to send."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest
    landing: Landing
    pace: Pace


class MigrationWatch(Call[Progress], frozen=True, kw_only=True, tag="migration.watch"):
    """Source: look after the sending; answers at once when something changed, else after `within_s`."""

    guest: Guest
    within_s: float = 1.0

    @property
    def limit_s(self) -> float:
        """As long as it may take, and some for a busy host."""
        return self.within_s + 120.0


class MigrationSwitch(Call[None], frozen=True, kw_only=True, tag="migration.switch"):
    """Source: begin post-copy."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest


class MigrationKeep(Call[None], frozen=True, kw_only=True, tag="migration.keep"):
    """Source: stop sending and go on here; harmless when there is nothing to go on."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest


class MigrationFinish(Call[GuestState | None], frozen=True, kw_only=True, tag="migration.finish"):
    """Target: let the guest run; answers how it is then. `if_there`: fine when there is none that has arrived."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest
    if_there: bool = False


class MigrationLeave(Call[None], frozen=True, kw_only=True, tag="migration.leave"):
    """Source: take away what is left of a guest that was sent, and put its disks away. One that runs stays."""

    timeout_s: ClassVar[float] = 120.0
    guest: Guest

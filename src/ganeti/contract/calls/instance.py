"""Calls about guests. A guest travels whole: the node looks nothing up."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.calls.node import StorageAt
from ganeti.contract.guest import Console, Guest, GuestState


class InstanceStart(Call[GuestState], frozen=True, kw_only=True, tag="instance.start"):
    """Make the guest run: assemble its disks, connect its NICs, start it. When it fails nothing of it is left."""

    timeout_s: ClassVar[float] = 300.0
    guest: Guest
    paused: bool = False


class InstanceStop(Call[None], frozen=True, kw_only=True, tag="instance.stop"):
    """Make the guest not run, and its disks not assembled (unless `keep_disks`)."""

    guest: Guest
    force: bool = False
    within_s: float = 120.0
    keep_disks: bool = False

    @property
    def limit_s(self) -> float:
        """The guest's own time to shut down, and some to end it by force."""
        return (0.0 if self.force else self.within_s) + 120.0


class InstanceReboot(Call[None], frozen=True, kw_only=True, tag="instance.reboot"):
    """Restart the guest inside its hypervisor."""

    timeout_s: ClassVar[float] = 300.0
    guest: Guest


class InstanceBalloon(Call[None], frozen=True, kw_only=True, tag="instance.balloon"):
    """Change the memory of a running guest."""

    guest: Guest
    memory_mib: int


class GuestStates(msgspec.Struct, frozen=True, kw_only=True):
    """Guests of one node; a hypervisor that cannot say is in `problems`."""

    guests: tuple[GuestState, ...] = ()
    problems: dict[str, str] = {}


class GuestStatesGet(Call[GuestStates], frozen=True, kw_only=True, tag="instance.states"):
    """Which guests are there?"""

    only_reads: ClassVar[bool] = True
    hypervisors: tuple[str, ...]
    name: str | None = None


class InstanceConsoleGet(Call[Console], frozen=True, kw_only=True, tag="instance.console"):
    """How is the guest's console reached?"""

    only_reads: ClassVar[bool] = True
    guest: Guest


class Objections(msgspec.Struct, frozen=True, kw_only=True):
    """What stands against a guest on a node, as sentences; empty when nothing."""

    sentences: tuple[str, ...] = ()


class InstanceCheck(Call[Objections], frozen=True, kw_only=True, tag="instance.check"):
    """Could the guest run here? Hypervisor parameters, links of NICs, directories of disks. Changes nothing.

    `storages` are checked too; disks the guest has already must be there if `disks_exist`.
    """

    only_reads: ClassVar[bool] = True
    guest: Guest
    storages: tuple[StorageAt, ...] = ()
    disks_exist: bool = False

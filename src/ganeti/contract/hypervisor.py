"""The port of hypervisor drivers. Every driver, the fake one too, passes the suite in tests/contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ganeti.contract.guest import AttachedDisk, Console, Guest, GuestState, HypervisorFacts
from ganeti.model.objects import Params


class Hypervisor(Protocol):
    """Runs guests on this host. Keeps no state in memory that a restart of the daemon would lose.

    Every method says how things shall be: calling it twice is harmless. Errors are `Failed` with the
    hypervisor's own words, or `Refused` when the request itself is wrong.
    """

    async def start(self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False) -> None:
        """Make the guest run; a guest that runs already is left alone.

        When this raises nothing of the guest is left: no process, interface, socket or run-time file.
        """
        ...

    async def stop(self, guest: Guest, *, force: bool, timeout_s: float) -> None:
        """Make the guest not run: ask it to shut down, and after `timeout_s` (or at once with `force`) end it.

        Also takes away all that `start` made. A guest that does not run is fine.
        """
        ...

    async def reboot(self, guest: Guest) -> None:
        """Restart the guest inside its hypervisor (soft reboot), with the devices it has."""
        ...

    async def pause(self, guest: Guest) -> None:
        """Freeze the virtual CPUs."""
        ...

    async def resume(self, guest: Guest) -> None:
        """Let a frozen guest run again."""
        ...

    async def balloon(self, guest: Guest, memory_mib: int) -> None:
        """Change the memory of a running guest."""
        ...

    async def list(self) -> list[GuestState]:
        """Every guest of this hypervisor on this host, also those nobody told us to start; sorted by name."""
        ...

    async def state(self, name: str) -> GuestState | None:
        """One guest, or None when there is nothing of it."""
        ...

    async def console(self, guest: Guest, *, host: str) -> Console:
        """How to reach the guest's console; `host` is this node's name."""
        ...

    async def facts(self) -> HypervisorFacts:
        """Memory, CPUs and version of this host."""
        ...

    async def check(self, hvparams: Params) -> Sequence[str]:
        """What on this host stands against these complete parameters (a kernel that is not there, say), as sentences."""
        ...

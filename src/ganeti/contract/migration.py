"""Moving a running guest between hosts: what crosses from one node to the other, and the port of those who do it.

Source and target each do their half when the master says so, and at every moment one node owns the guest:

    target: receive       a QEMU that waits, stopped; undone by `abort`
    source: send          the guest runs on while its disks (if they are not shared) and its memory are copied;
                          undone by `keep`
    source: watch         again and again, until all is over there: the source is stopped, nobody runs
    (the master commits that the target is the owner)
    target: finish        the guest goes on there
    source: leave         what is left of it is taken away

The target never lets the guest run before `finish`, and the source keeps all of it until `leave`. So until the commit
the source can go on, whatever happens to the target, and after it the target can. Post-copy is the exception: the
commit comes before `switch`, and from then on the guest needs both hosts until it has all its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from ganeti.contract.guest import AttachedDisk, Guest

Phase = Literal["none", "disks", "memory", "arriving", "postcopy", "completed", "failed", "canceled"]
"""`disks`: they are mirrored and memory has not begun; `arriving`: the guest is stopped, the rest is on its way."""

OVER: frozenset[Phase] = frozenset({"completed", "failed", "canceled"})


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """A guest as it really runs, which may differ from what the configuration says by now; for its target.

    `machine` is the full machine type, `version` that of the hypervisor, `memory_mib` what it has at present; `paused`:
    its operator froze it, and it stays so.
    """

    guest: Guest
    machine: str
    accelerator: str
    version: str
    memory_mib: int
    paused: bool = False


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the target waits. `host` is the address to connect to, `name` what its certificate must show.

    `disks_port` is None when the disks are not copied.
    """

    name: str
    host: str
    port: int
    disks_port: int | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a guest is sent. `live`: it runs meanwhile; `capabilities` are those of the hypervisor to switch on."""

    live: bool = True
    bandwidth_mib_s: int = 32
    downtime_ms: int = 30
    capabilities: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. Bytes of disks and memory apart; rates in bytes a second; `error` in the hypervisor's own words."""

    phase: Phase
    disk_done_bytes: int = 0
    disk_total_bytes: int = 0
    sent_bytes: int = 0
    total_bytes: int = 0
    remaining_bytes: int = 0
    rate_bytes_s: float = 0.0
    dirty_rate_bytes_s: float = 0.0
    rounds: int = 0
    downtime_ms: int = 0
    error: str = ""


class Migrating(Protocol):
    """What a hypervisor driver does beyond `Hypervisor` when its guests can move while they run.

    Repeating a call is harmless. Errors are `Failed` with the hypervisor's own words, or `Refused` when the request
    itself is wrong.
    """

    async def moving(self, guest: Guest) -> Moving:
        """The guest as it runs here. `Refused` (wrong_state) when it does not."""
        ...

    async def objections_to(self, moving: Moving, *, ignore_version: bool = False) -> Sequence[str]:
        """What stands against its coming here, as sentences: another version, an unknown machine type, no keys."""
        ...

    async def receive(
        self, moving: Moving, disks: Sequence[AttachedDisk], *, address: str, peer: str, copies_disks: bool, pace: Pace
    ) -> Landing:
        """Wait for the guest at `address`, where only the node named `peer` may come. Leaves nothing when it fails."""
        ...

    async def abort(self, guest: Guest) -> None:
        """Wait no longer: take away what `receive` made. A guest that has gone on here is left alone."""
        ...

    async def send(self, guest: Guest, landing: Landing, pace: Pace) -> None:
        """Begin to send the guest there; returns at once."""
        ...

    async def watch(self, guest: Guest, *, within_s: float) -> Progress:
        """Look after the sending and say how far it is: at once when something changed, else after `within_s`.

        It is also what makes it go on from the disks to memory and to the end, so it must be called until it is over.
        """
        ...

    async def switch(self, guest: Guest) -> None:
        """Stop the guest here and let the target fetch what is missing while it runs there (post-copy)."""
        ...

    async def keep(self, guest: Guest) -> None:
        """Stop sending, and let the guest run here again; fine when there is none, or when it was never sent."""
        ...

    async def finish(self, guest: Guest, *, if_there: bool = False) -> None:
        """Let the guest that has arrived run. With `if_there` nothing happens when it did not, or is gone."""
        ...

    async def leave(self, guest: Guest) -> None:
        """Take away what is left of a guest that was sent. One that runs here is left alone."""
        ...

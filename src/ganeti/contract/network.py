"""The port of network drivers: how an interface of a guest is connected to the world of its host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ganeti.contract.guest import Guest, GuestNic


class Network(Protocol):
    """One NIC mode on this host. Repeating a call is harmless."""

    async def attach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """Connect the existing interface (a tap) as the NIC asks and set it up. `Failed` when the link is missing."""
        ...

    async def detach(self, guest: Guest, nic: GuestNic, interface: str) -> None:
        """Undo `attach`; the interface itself is removed by whoever made it."""
        ...

    async def check(self, nic: GuestNic) -> Sequence[str]:
        """What stands against this NIC on this host (the bridge is missing, say), as sentences."""
        ...


class Taps(Protocol):
    """The tap interfaces of this host."""

    async def create(self, interface: str, *, mac: str, queues: int = 1, vnet_hdr: bool = True) -> None:
        """Make a persistent tap of that name (at most 15 characters); fine when it is there."""
        ...

    async def remove(self, interface: str) -> None:
        """Make it not exist; fine when it does not."""
        ...

    async def list(self, prefix: str) -> list[str]:
        """The taps whose name begins with `prefix`."""
        ...

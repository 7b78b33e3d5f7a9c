"""The wire port: bytes of a call to a node, bytes of its answer back. TLS, or memory in simulation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node listens, and who must answer there. `certificate`: SHA-256 fingerprint (hex), empty: any of our CA."""

    name: str
    host: str
    port: int
    certificate: str = ""


Serve = Callable[[bytes, str], Awaitable[bytes]]
"""What a node does with the bytes of an envelope and the caller's certificate fingerprint."""


class Wire(Protocol):
    """Carries envelopes to nodes."""

    async def exchange(self, to: Address, envelope: bytes, *, timeout_s: float) -> bytes:
        """Send and wait for the answer. `Unavailable` when there is none in time: the deed may be done or not."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

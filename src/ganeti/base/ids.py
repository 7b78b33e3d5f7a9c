"""Chance and identity as ports: UUIDs, random bytes and secrets."""

from __future__ import annotations

import random
import secrets
import uuid
from typing import Protocol


class Ids(Protocol):
    """Where fresh identities and random bytes come from."""

    def uuid(self) -> str:
        """A fresh UUID in its textual form."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Bytes nobody can guess (in simulation: bytes that replay)."""
        ...


class SystemIds:
    """Identities from the operating system's entropy."""

    def uuid(self) -> str:
        """See `Ids.uuid`."""
        return str(uuid.uuid4())

    def random_bytes(self, count: int) -> bytes:
        """See `Ids.random_bytes`."""
        return secrets.token_bytes(count)


class SeededIds:
    """Identities that are the same in every run with the same generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def uuid(self) -> str:
        """See `Ids.uuid`."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def random_bytes(self, count: int) -> bytes:
        """See `Ids.random_bytes`."""
        return self._rng.randbytes(count)

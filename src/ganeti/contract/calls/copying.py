"""Calls about copying a disk that nobody uses from one node to another."""

from __future__ import annotations

from typing import ClassVar

from ganeti.contract.calls import Call
from ganeti.contract.migration import Landing
from ganeti.contract.storage import Owner
from ganeti.model.objects import Disk


class CopyReceive(Call[Landing], frozen=True, kw_only=True, tag="copy.receive"):
    """Target: let the node `peer` write the disk, which exists, at `address`."""

    timeout_s: ClassVar[float] = 300.0
    disk: Disk
    owner: Owner
    address: str
    peer: str


class CopyEnd(Call[None], frozen=True, kw_only=True, tag="copy.end"):
    """Target: serve it no longer, and put it away."""

    timeout_s: ClassVar[float] = 120.0
    disk: Disk


class CopySend(Call[None], frozen=True, kw_only=True, tag="copy.send"):
    """Source: fill the disk at `landing` with this one. Answered when all of it is durable there."""

    disk: Disk
    owner: Owner
    landing: Landing
    within_s: float = 24 * 3600.0

    @property
    def limit_s(self) -> float:
        """The copier's time, and some to assemble the disk."""
        return self.within_s + 300.0


class CopyLook(Call[float | None], frozen=True, kw_only=True, tag="copy.look"):
    """Source: how many percent are sent? None: nothing is being sent."""

    timeout_s: ClassVar[float] = 30.0
    only_reads: ClassVar[bool] = True
    disk: Disk

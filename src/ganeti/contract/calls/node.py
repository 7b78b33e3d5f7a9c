"""Calls about a node as a whole."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.guest import GuestState, HypervisorFacts
from ganeti.contract.storage import DiskFound, Space


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers, in which version, at what time of its clock."""

    name: str
    version: str
    now_s: float
    epoch: int
    boot_id: str = ""


class Ping(Call[Pong], frozen=True, kw_only=True, tag="node.ping"):
    """Are you there?"""

    timeout_s: ClassVar[float] = 10.0
    only_reads: ClassVar[bool] = True


class StorageAt(msgspec.Struct, frozen=True, kw_only=True):
    """A template and where its data lives (`Addressing.location`)."""

    template: str
    location: str


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Live facts of a node. A hypervisor or template that cannot say is in `problems` under its name."""

    boot_id: str
    hypervisors: dict[str, HypervisorFacts] = {}
    storages: dict[str, Space] = {}
    problems: dict[str, str] = {}


class NodeFactsGet(Call[NodeFacts], frozen=True, kw_only=True, tag="node.facts"):
    """Memory, CPUs and storage room."""

    only_reads: ClassVar[bool] = True
    hypervisors: tuple[str, ...] = ()
    storages: tuple[StorageAt, ...] = ()


class NodeInventory(msgspec.Struct, frozen=True, kw_only=True):
    """All that verification compares with the configuration. `interfaces` are the taps of our guests."""

    name: str
    version: str
    now_s: float
    boot_id: str
    epoch: int
    guests: tuple[GuestState, ...] = ()
    disks: tuple[DiskFound, ...] = ()
    interfaces: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    certificate_expires_s: float | None = None


class NodeInventoryGet(Call[NodeInventory], frozen=True, kw_only=True, tag="node.inventory"):
    """Everything of ours that is on the node; `nics` are checked for their links."""

    timeout_s: ClassVar[float] = 120.0
    only_reads: ClassVar[bool] = True
    hypervisors: tuple[str, ...] = ()
    storages: tuple[StorageAt, ...] = ()
    hvparams: dict[str, dict[str, Any]] = {}
    links: tuple[tuple[str, str], ...] = ()
    """(mode, link) pairs that must exist."""


class NodeDelay(Call[None], frozen=True, kw_only=True, tag="node.delay"):
    """Do nothing for a while; for tests of the queue."""

    breakable: ClassVar[bool] = True

    duration_s: float

    @property
    def limit_s(self) -> float:
        """As long as it takes, and some for the way."""
        return self.duration_s + 60.0


class NodeLeave(Call[None], frozen=True, kw_only=True, tag="node.leave"):
    """Forget the cluster: certificates and run-time state go. The daemon then serves nobody."""

"""What a node daemon has to work with: the drivers of its host and the ports below them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ganeti.base.clock import Clock
from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner
from ganeti.contract.hypervisor import Hypervisor
from ganeti.contract.network import Network, Taps
from ganeti.contract.os import OsDefinitions
from ganeti.contract.settings import NodeSettings
from ganeti.contract.storage import Storage
from ganeti.node.fence import Fence
from ganeti.store.replica import Replica

D = TypeVar("D")


@dataclass(kw_only=True)
class Member:
    """What this node knows of its cluster; replaced while it serves. None before the daemon has told."""

    settings: NodeSettings | None = None


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host, as the handlers of node calls see it. `name` is the node's name, `version` the daemon's."""

    name: str
    version: str
    boot_id: str
    paths: Paths
    files: Files
    clock: Clock
    runner: Runner
    hypervisors: Mapping[str, Hypervisor]
    storages: Mapping[str, Storage]
    networks: Mapping[str, Network]
    taps: Taps
    os: OsDefinitions
    fence: Fence
    tap_prefix: str = "gnt-"
    """What the interfaces of our guests begin with."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the node has left its cluster: from then on the daemon serves nobody."""
    member: Member = field(default_factory=Member)
    replica: Replica | None = None
    """This node's copy of the store, if it may have one."""

    def hypervisor(self, name: str) -> Hypervisor:
        """The driver of a hypervisor, or `Refused` that lists those there are."""
        return _find(self.hypervisors, name, "hypervisor", self.name)

    def storage(self, template: str) -> Storage:
        """The driver of a disk template, or `Refused` that lists those there are."""
        return _find(self.storages, template, "disk template", self.name)

    def network(self, mode: str) -> Network:
        """The driver of a NIC mode, or `Refused` that lists those there are."""
        return _find(self.networks, mode, "NIC mode", self.name)


def _find(known: Mapping[str, D], name: str, what: str, node: str) -> D:
    found = known.get(name)
    if found is None:
        have = ", ".join(sorted(known)) or "none"
        raise Refused(WRONG_INPUT, f"node {node} has no driver for {what} '{name}'; it has {have}", name=name)
    return found

"""What the master must know of drivers, as data: each driver file declares its `TRAITS`, `main` gathers the catalog.

Operations ask the traits (`catalog.storage(kind).mirrored`), never the name of a driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.model.objects import Params
from ganeti.model.params import Param

Mirroring = Literal["none", "internal", "external"]
"""`internal`: the template copies between two nodes (DRBD); `external`: every node sees the same data."""


class HypervisorTraits(msgspec.Struct, frozen=True, kw_only=True):
    """A hypervisor, as the master sees it."""

    name: str
    params: tuple[Param, ...]
    can_migrate: bool = True
    needs_disk_template: bool = False
    real_guests: bool = True
    uses_network_port: bool = False
    """Whether a guest gets a port of its own from the cluster's pool (VNC, SPICE)."""
    validate: Callable[[Params, int | None], Sequence[str]] | None = None
    """What stands against complete parameters (and a number of virtual CPUs), as sentences. Pure."""


class StorageTraits(msgspec.Struct, frozen=True, kw_only=True):
    """A disk template, as the master sees it. `storage_type` as in `gnt-node list-storage -t`."""

    template: str
    storage_type: str
    mirrored: Mirroring
    has_disks: bool = True
    growable: bool = True
    file_based: bool = False
    lvm: bool = False
    copyable: bool = False
    adoptable: bool = False
    must_adopt: bool = False
    params: tuple[Param, ...] = ()


class NetworkTraits(msgspec.Struct, frozen=True, kw_only=True):
    """A NIC mode, as the master sees it. `link_is` says in words what the nic parameter `link` names."""

    mode: str
    link_is: str
    link_checked: bool = False
    vlan_aware: bool = False
    ip_required: bool = False


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Every driver there is."""

    hypervisors: dict[str, HypervisorTraits]
    storages: dict[str, StorageTraits]
    networks: dict[str, NetworkTraits]

    def hypervisor(self, name: str) -> HypervisorTraits:
        """The traits of a hypervisor, or `Refused` (wrong_input) that lists those there are."""
        return _find(self.hypervisors, name, "hypervisor")

    def storage(self, template: str) -> StorageTraits:
        """The traits of a disk template, or `Refused` (wrong_input) that lists those there are."""
        return _find(self.storages, template, "disk template")

    def network(self, mode: str) -> NetworkTraits:
        """The traits of a NIC mode, or `Refused` (wrong_input) that lists those there are."""
        return _find(self.networks, mode, "NIC mode")


Traits = HypervisorTraits | StorageTraits | NetworkTraits


T = TypeVar("T")


def _find(known: dict[str, T], name: str, what: str) -> T:
    found = known.get(name)
    if found is None:
        raise Refused(WRONG_INPUT, f"there is no {what} '{name}'; there is {', '.join(sorted(known))}", name=name)
    return found

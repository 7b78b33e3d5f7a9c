"""What running jobs have taken but not committed yet: so that creations can run side by side."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ganeti.model.objects import Uuid


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan takes. Amounts in MiB; `storage_mib` is keyed by node and storage type."""

    names: frozenset[str] = frozenset()
    macs: frozenset[str] = frozenset()
    ips: frozenset[tuple[str, str]] = frozenset()
    ports: frozenset[int] = frozenset()
    memory_mib: dict[Uuid, int] = {}
    storage_mib: dict[Uuid, dict[str, int]] = {}


NOTHING = Reservation()


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """All that is reserved by others."""

    by_job: dict[int, Reservation] = {}

    def _all(self) -> Iterable[Reservation]:
        return self.by_job.values()

    def name(self, name: str) -> bool:
        """Whether another job is about to use that instance name."""
        return any(name in taken.names for taken in self._all())

    def mac(self, mac: str) -> bool:
        """Whether another job is about to use that MAC address."""
        return any(mac in taken.macs for taken in self._all())

    def ip(self, network: str, ip: str) -> bool:
        """Whether another job is about to use that address (`network` is empty for none)."""
        return any((network, ip) in taken.ips for taken in self._all())

    def port(self, port: int) -> bool:
        """Whether another job is about to use that port."""
        return any(port in taken.ports for taken in self._all())

    def memory_mib(self, node: Uuid) -> int:
        """Memory that others are about to use on a node."""
        return sum(taken.memory_mib.get(node, 0) for taken in self._all())

    def storage_mib(self, node: Uuid, storage_type: str) -> int:
        """Room that others are about to use on a node."""
        return sum(taken.storage_mib.get(node, {}).get(storage_type, 0) for taken in self._all())

"""What operations and queries may look at: one picture, the catalog of drivers, what others have reserved."""

from __future__ import annotations

import msgspec

from ganeti.contract.reservation import Reserved
from ganeti.contract.storage import Addressing
from ganeti.model.objects import Cluster, Uuid
from ganeti.model.picture import Picture
from ganeti.model.traits import Catalog


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent look at the cluster. Pure functions of it can be tested without one."""

    picture: Picture
    catalog: Catalog
    addressing: dict[str, Addressing]
    reserved: Reserved = Reserved()
    now_s: float = 0.0
    debts: dict[Uuid, int] = {}
    """How many reversals of failed jobs each node still has to play."""
    lagging: dict[str, str] = {}
    """Names of master candidates whose copy of the store is behind, and why."""

    @property
    def cluster(self) -> Cluster:
        """The cluster's settings."""
        return self.picture.cluster

"""Calls about membership: what a node knows of its cluster, its copy of the store, and who is the master."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.store import Change, Entry, Revision


class NodeSettingsPut(Call[None], frozen=True, kw_only=True, tag="node.settings"):
    """This is your cluster, these may call you, this is the master; and the files that scripts read (ssconf).

    `callers` are certificate fingerprints of master candidates. `ssconf`: name after `ssconf_` to content (spec:
    interfaces, section 6). `authority_key`: the key of the cluster's authority for a master candidate, empty to take it
    away, None to leave it as it is.
    """

    cluster_name: str
    master_name: str
    master_ip: str
    master_netdev: str
    master_netmask: int
    callers: tuple[str, ...]
    file_storage_dirs: tuple[str, ...]
    ssconf: dict[str, str] = {}
    authority_key: str | None = None


class MasterAddressPut(Call[None], frozen=True, kw_only=True, tag="master.address"):
    """Have the address of the cluster on a device of yours, or not. `netmask` is the length of its prefix."""

    address: str
    netmask: int
    device: str
    up: bool


class ReplicaState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a copy of the store goes. `lineage` is the value of its key of that name: equal for one history."""

    revision: Revision
    lineage: str = ""


class StoreStateGet(Call[ReplicaState], frozen=True, kw_only=True, tag="store.state"):
    """How far does your copy of the store go?"""

    timeout_s: ClassVar[float] = 10.0
    only_reads: ClassVar[bool] = True


class StoreAppend(Call[ReplicaState], frozen=True, kw_only=True, tag="store.append"):
    """Your copy shall have these changes after revision `after`. One that is elsewhere stays, and says where."""

    timeout_s: ClassVar[float] = 20.0
    after: Revision
    changes: tuple[Change, ...]


class StoreSnapshot(Call[ReplicaState], frozen=True, kw_only=True, tag="store.snapshot"):
    """Your copy shall be this and nothing else. Comes in parts: `part` from 0, what is there counts after the `last`."""

    timeout_s: ClassVar[float] = 60.0
    revision: Revision
    part: int
    last: bool
    entries: dict[str, Entry]


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a node obeys: the newest epoch it has seen, the master it knows, and how far its copy of the store goes.

    `replica` is None where there is none. `store`: on a node that has been the master, how far its own store goes;
    `master_runs`: whether a master daemon listens there.
    """

    name: str
    epoch: int
    master_name: str
    replica: ReplicaState | None = None
    store: ReplicaState | None = None
    master_runs: bool = False


class VoteGet(Call[Vote], frozen=True, kw_only=True, tag="master.vote"):
    """Whom do you obey? Asked by who wants to become master, so it passes the fence."""

    timeout_s: ClassVar[float] = 10.0
    only_reads: ClassVar[bool] = True
    unfenced: ClassVar[bool] = True


class MasterClaim(Call[Vote], frozen=True, kw_only=True, tag="master.claim"):
    """From now on obey this master and its epoch. `Refused` when a higher one, or another master of it, was here.

    A node that was the master itself ends its master daemon and gives up the address of the cluster.
    """

    unfenced: ClassVar[bool] = True
    epoch: int
    master_name: str

"""What a node must know of its cluster before anybody calls it: one JSON file written at init or join."""

from __future__ import annotations

import msgspec


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Lives in `Paths.node_settings`. `callers` are certificate fingerprints (SHA-256, hex) of master candidates."""

    cluster_uuid: str
    cluster_name: str
    node_uuid: str
    node_name: str
    master_name: str
    host: str
    port: int = 1811
    callers: tuple[str, ...] = ()
    file_storage_dirs: tuple[str, ...] = ()
    """Directories below which disks may be made, besides those in /etc/ganeti/file-storage-paths."""

    master_ip: str = ""
    """The address of the cluster, which the master carries on `master_netdev`; empty when not known."""

    master_netdev: str = ""
    master_netmask: int = 32

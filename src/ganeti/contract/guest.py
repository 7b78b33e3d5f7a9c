"""A guest as a node needs to know it: everything effective, nothing to look up."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ganeti.model.objects import Disk, Params

GuestStatus = Literal["running", "paused", "stopped", "user-down"]
"""`user-down`: the guest powered itself off and its operator wants that kept apart from a crash."""


class NicNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The network a NIC belongs to, for scripts."""

    uuid: str
    name: str
    subnet: str | None = None
    gateway: str | None = None
    subnet6: str | None = None
    gateway6: str | None = None
    mac_prefix: str | None = None
    tags: tuple[str, ...] = ()


class GuestNic(msgspec.Struct, frozen=True, kw_only=True):
    """A NIC with mode, link and vlan in force."""

    index: int
    uuid: str
    mac: str
    mode: str
    link: str
    vlan: str = ""
    ip: str | None = None
    name: str | None = None
    network: NicNetwork | None = None


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as its node runs it. `hvparams` are complete (every parameter of the hypervisor)."""

    name: str
    uuid: str
    hypervisor: str
    hvparams: Params
    maxmem_mib: int
    minmem_mib: int
    vcpus: int
    os: str = ""
    disk_template: str = "diskless"
    disks: tuple[Disk, ...] = ()
    nics: tuple[GuestNic, ...] = ()
    network_port: int | None = None
    primary_node: str = ""
    secondary_nodes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    beparams: Params = {}
    ctime: float = 0.0
    mtime: float = 0.0
    user_shutdown: bool = False


class AttachedDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as the hypervisor opens it: a path, or a URI for access without the kernel."""

    disk: Disk
    index: int
    path: str
    uri: str | None = None
    is_block_device: bool = False


Migration = Literal["", "incoming", "arrived", "sent"]
"""`incoming`: waits for its memory; `arrived`: has it, and has not gone on yet; `sent`: was stopped for a target."""


class GuestState(msgspec.Struct, frozen=True, kw_only=True):
    """What a hypervisor says of one guest. `cpu_s` is CPU time used so far.

    `migration` is not empty for a copy that may not be the guest any more, or not yet: the configuration decides.
    """

    name: str
    hypervisor: str
    status: GuestStatus
    memory_mib: int = 0
    vcpus: int = 0
    cpu_s: float = 0.0
    uuid: str | None = None
    pid: int | None = None
    migration: Migration = ""


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a guest's console.

    `kind`: `ssh` (run `command` on `host` as `user`), `vnc` or `spice` (connect to host and port), `msg` (only
    `message` to show).
    """

    instance: str
    kind: Literal["ssh", "vnc", "spice", "msg"]
    message: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    display: int | None = None


class HypervisorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a hypervisor says of its node. Memory in MiB; `memory_node_mib` is what the host itself uses."""

    memory_total_mib: int
    memory_free_mib: int
    memory_node_mib: int
    cpu_total: int
    cpu_nodes: int = 1
    cpu_sockets: int = 1
    version: str = ""
    details: dict[str, Any] = {}

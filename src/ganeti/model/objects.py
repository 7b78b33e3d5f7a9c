"""The objects a cluster is made of, as they are stored: frozen, one key each in the store.

Field names are those of the configuration everybody knows (spec: interfaces, section 16). Parameters hold only
what was set at that level; what is in force is computed by `ganeti.model.effective`. Times are seconds since
the epoch, sizes MiB, lists of tags sorted.
"""

from __future__ import annotations

from typing import Any, Literal, NewType, TypeVar

import msgspec

Uuid = NewType("Uuid", str)
"""Identity of a stored object; names may change, this never does."""

Params = dict[str, Any]
"""Parameter name to own value; a name that is missing is inherited."""

AdminState = Literal["up", "down", "offline"]
AllocPolicy = Literal["preferred", "last_resort", "unallocable"]
DiskMode = Literal["rw", "ro"]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What every object of the configuration carries."""

    uuid: Uuid
    serial_no: int = 1
    ctime: float = 0.0
    mtime: float = 0.0
    tags: tuple[str, ...] = ()


S = TypeVar("S", bound=Stored)


def changed(obj: S, now_s: float, **fields: Any) -> S:
    """The same object with `fields` replaced, its serial number one higher and its modification time now."""
    return msgspec.structs.replace(obj, serial_no=obj.serial_no + 1, mtime=now_s, **fields)


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """One network interface of an instance. `nicparams` (mode, link, vlan) are its own values only."""

    uuid: Uuid
    mac: str
    ip: str | None = None
    name: str | None = None
    network: Uuid | None = None
    nicparams: Params = {}


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """One disk of an instance. `logical_id` is the template's own address of the data (spec: section 16)."""

    uuid: Uuid
    dev_type: str
    size: int
    mode: DiskMode = "rw"
    name: str | None = None
    logical_id: tuple[Any, ...] = ()
    params: Params = {}
    spindles: int | None = None


class Instance(Stored, frozen=True, kw_only=True):
    """A virtual machine, as it shall be."""

    name: str
    primary_node: Uuid
    secondary_nodes: tuple[Uuid, ...] = ()
    os: str = ""
    hypervisor: str
    hvparams: Params = {}
    beparams: Params = {}
    osparams: Params = {}
    osparams_private: Params = {}
    admin_state: AdminState = "down"
    admin_state_source: Literal["admin", "user"] = "admin"
    disk_template: str = "diskless"
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    disks_active: bool = False
    network_port: int | None = None
    forthcoming: bool = False


class Node(Stored, frozen=True, kw_only=True):
    """A host of the cluster. `certificate` is the SHA-256 fingerprint (hex) of the one it may present."""

    name: str
    primary_ip: str
    secondary_ip: str
    group: Uuid
    master_candidate: bool = True
    drained: bool = False
    offline: bool = False
    master_capable: bool = True
    vm_capable: bool = True
    powered: bool = True
    ndparams: Params = {}
    port: int = 1811
    certificate: str = ""


class Group(Stored, frozen=True, kw_only=True):
    """A node group. `ipolicy` holds only what differs from the cluster's."""

    name: str
    alloc_policy: AllocPolicy = "preferred"
    ndparams: Params = {}
    diskparams: dict[str, Params] = {}
    ipolicy: Params = {}
    networks: dict[str, Params] = {}


class Cluster(Stored, frozen=True, kw_only=True):
    """The cluster's own settings (spec: params, "cluster-level settings")."""

    cluster_name: str
    master_node: Uuid
    master_ip: str
    master_netdev: str
    master_netmask: int = 32
    primary_ip_family: Literal[4, 6] = 4
    enabled_hypervisors: tuple[str, ...]
    enabled_disk_templates: tuple[str, ...]
    hvparams: dict[str, Params] = {}
    os_hvp: dict[str, dict[str, Params]] = {}
    beparams: Params = {}
    nicparams: Params = {}
    ndparams: Params = {}
    diskparams: dict[str, Params] = {}
    ipolicy: Params = {}
    osparams: dict[str, Params] = {}
    osparams_private_cluster: dict[str, Params] = {}
    candidate_pool_size: int = 10
    max_running_jobs: int = 20
    max_tracked_jobs: int = 25
    mac_prefix: str = "aa:00:00"
    volume_group_name: str | None = None
    reserved_lvs: tuple[str, ...] = ()
    drbd_usermode_helper: str | None = None
    default_iallocator: str = "hail"
    default_iallocator_params: Params = {}
    file_storage_dir: str = "/srv/ganeti/file-storage"
    shared_file_storage_dir: str = "/srv/ganeti/shared-file-storage"
    gluster_storage_dir: str = "/var/run/ganeti/gluster"
    use_external_mip_script: bool = False
    modify_etc_hosts: bool = True
    modify_ssh_setup: bool = True
    maintain_node_health: bool = False
    prealloc_wipe_disks: bool = False
    uid_pool: tuple[tuple[int, int], ...] = ()
    hidden_os: tuple[str, ...] = ()
    blacklisted_os: tuple[str, ...] = ()
    compression_tools: tuple[str, ...] = ("gzip", "gzip-fast", "gzip-slow")
    enabled_user_shutdown: bool = False
    data_collectors: dict[str, Params] = {}
    instance_communication_network: str = ""
    install_image: str = ""
    zeroing_image: str = ""
    ssh_key_type: str = "rsa"
    ssh_key_bits: int = 2048
    drained: bool = False
    watcher_pause_until: float | None = None


KEY_PREFIXES: dict[type[Stored], str] = {Node: "node/", Group: "group/", Instance: "instance/"}
"""Where each kind of object lives in the store; the cluster is the one key `cluster`."""

CLUSTER_KEY = "cluster"


def key_of(obj: Stored) -> str:
    """The store key of an object."""
    if isinstance(obj, Cluster):
        return CLUSTER_KEY
    return KEY_PREFIXES[type(obj)] + obj.uuid

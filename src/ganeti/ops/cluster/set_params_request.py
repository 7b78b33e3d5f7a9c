"""What OP_CLUSTER_SET_PARAMS takes, and what of it a later version will serve."""

from __future__ import annotations

from typing import ClassVar, Final

from ganeti.contract.operation import OpParams
from ganeti.model.objects import Params

Nested = dict[str, Params]


class ClusterSetParamsParams(OpParams, frozen=True, kw_only=True, tag="OP_CLUSTER_SET_PARAMS"):
    """Spec: opcodes, OP_CLUSTER_SET_PARAMS. None: stays as it is."""

    private_fields: ClassVar[tuple[str, ...]] = ("osparams_private_cluster",)

    force: bool = False
    hv_state: Params | None = None
    disk_state: Params | None = None
    vg_name: str | None = None
    enabled_hypervisors: tuple[str, ...] | None = None
    hvparams: Nested | None = None
    beparams: Params | None = None
    os_hvp: dict[str, Nested | None] | None = None
    osparams: dict[str, Params | None] | None = None
    osparams_private_cluster: dict[str, Params | None] | None = None
    diskparams: Nested | None = None
    candidate_pool_size: int | None = None
    max_running_jobs: int | None = None
    max_tracked_jobs: int | None = None
    uid_pool: tuple[tuple[int, int], ...] | None = None
    add_uids: tuple[tuple[int, int], ...] | None = None
    remove_uids: tuple[tuple[int, int], ...] | None = None
    maintain_node_health: bool | None = None
    prealloc_wipe_disks: bool | None = None
    nicparams: Params | None = None
    ndparams: Params | None = None
    ipolicy: Params | None = None
    drbd_helper: str | None = None
    default_iallocator: str | None = None
    default_iallocator_params: Params | None = None
    mac_prefix: str | None = None
    master_netdev: str | None = None
    master_netmask: int | None = None
    reserved_lvs: tuple[str, ...] | None = None
    hidden_os: tuple[tuple[str, str], ...] | None = None
    blacklisted_os: tuple[tuple[str, str], ...] | None = None
    use_external_mip_script: bool | None = None
    enabled_disk_templates: tuple[str, ...] | None = None
    modify_etc_hosts: bool | None = None
    file_storage_dir: str | None = None
    shared_file_storage_dir: str | None = None
    gluster_storage_dir: str | None = None
    install_image: str | None = None
    instance_communication_network: str | None = None
    zeroing_image: str | None = None
    compression_tools: tuple[str, ...] | None = None
    enabled_user_shutdown: bool | None = None
    enabled_data_collectors: dict[str, bool] | None = None
    data_collector_interval: dict[str, int] | None = None


LATER: Final = {
    "hv_state": "declared hypervisor state (--hypervisor-state)",
    "disk_state": "declared disk state (--disk-state)",
    "vg_name": "a volume group (--vg-name)",
    "uid_pool": "a pool of user ids (--uid-pool)",
    "add_uids": "a pool of user ids (--add-uids)",
    "remove_uids": "a pool of user ids (--remove-uids)",
    "maintain_node_health": "the watcher that would maintain node health (--maintain-node-health)",
    "drbd_helper": "a DRBD helper (--drbd-usermode-helper)",
    "default_iallocator_params": "parameters of an allocator program (--default-iallocator-params)",
    "master_netdev": "moving the cluster's address to another device (--master-netdev)",
    "master_netmask": "changing the netmask of the cluster's address (--master-netmask)",
    "use_external_mip_script": "a script of one's own for the cluster's address (--use-external-mip-script)",
    "install_image": "a helper image for OS scripts (--install-image)",
    "instance_communication_network": "the metadata network (--instance-communication-network)",
    "zeroing_image": "an image for zeroing disks (--zeroing-image)",
    "compression_tools": "tools for compressing exports (--compression-tools)",
    "enabled_data_collectors": "data collectors (--enabled-data-collectors)",
    "data_collector_interval": "data collectors (--data-collector-interval)",
}
"""Parameters that are refused with a sentence when they are used."""

SETTINGS: Final = (
    frozenset(ClusterSetParamsParams.__struct_fields__) - frozenset(OpParams.__struct_fields__) - frozenset({"force"})
)
"""All that can be asked for."""

"""What is in force for an object: all parameter levels merged. Pure; spec: params."""

from __future__ import annotations

from typing import Final

from ganeti.model import policy
from ganeti.model.objects import Cluster, Group, Instance, Nic, Node, Params
from ganeti.model.params import Param, defaults, merged
from ganeti.model.picture import Picture
from ganeti.model.traits import Catalog

BACKEND: Final = (
    Param(name="always_failover", kind="bool", default=False, summary="never migrate live, always fail over"),
    Param(name="auto_balance", kind="bool", default=True, summary="count for the N+1 memory check"),
    Param(name="maxmem", kind="size", default=128, minimum=1, summary="memory at start, upper limit"),
    Param(name="minmem", kind="size", default=128, minimum=1, summary="memory it can be ballooned down to"),
    Param(name="spindle_use", kind="int", default=1, minimum=0, summary="how many spindles it keeps busy"),
    Param(name="vcpus", kind="int", default=1, minimum=1, summary="virtual CPUs"),
)

NIC: Final = (
    Param(name="mode", kind="string", default="bridged", required=True, summary="how the NIC is connected"),
    Param(name="link", kind="string", default="xen-br0", summary="bridge, switch or routing table"),
    Param(name="vlan", kind="string", default="", summary="VLANs, for bridged and openvswitch"),
)

NODE: Final = (
    Param(name="cpu_speed", kind="float", default=1.0, summary="speed relative to the other nodes"),
    Param(name="exclusive_storage", kind="bool", default=False, cluster_only=True, summary="whole PVs per volume"),
    Param(name="oob_program", kind="string", default="", absolute_path=True, summary="out-of-band power program"),
    Param(name="ovs", kind="bool", default=False, summary="set up Open vSwitch"),
    Param(name="ovs_link", kind="maybe-string", default="", summary="uplink of the switch"),
    Param(name="ovs_name", kind="maybe-string", default="switch1", summary="name of the switch"),
    Param(name="spindle_count", kind="int", default=1, minimum=0, summary="disks in the node"),
    Param(name="ssh_port", kind="int", default=22, minimum=1, maximum=65535, summary="where sshd listens"),
)


def hypervisor_params(cluster: Cluster, catalog: Catalog, hypervisor: str, os_name: str = "") -> Params:
    """Hypervisor parameters above the instance's own: built-in, cluster, OS."""
    traits = catalog.hypervisor(hypervisor)
    of_os = cluster.os_hvp.get(os_name.partition("+")[0], {})
    of_variant = cluster.os_hvp.get(os_name, {}) if "+" in os_name else {}
    return merged(
        defaults(traits.params),
        cluster.hvparams.get(hypervisor, {}),
        of_os.get(hypervisor, {}),
        of_variant.get(hypervisor, {}),
    )


def instance_hypervisor_params(cluster: Cluster, catalog: Catalog, instance: Instance) -> Params:
    """The hypervisor parameters an instance runs with."""
    return merged(hypervisor_params(cluster, catalog, instance.hypervisor, instance.os), instance.hvparams)


def backend_params(cluster: Cluster, own: Params | None = None) -> Params:
    """Memory and CPU parameters in force; without `own` those that a new instance inherits."""
    return merged(defaults(BACKEND), cluster.beparams, own or {})


def nic_params(cluster: Cluster, nic: Nic | None = None) -> Params:
    """Mode, link and vlan in force; without `nic` those that a new one inherits."""
    return merged(defaults(NIC), cluster.nicparams, nic.nicparams if nic is not None else {})


def node_params(picture: Picture, node: Node) -> Params:
    """Node parameters in force: built-in, cluster, group, node."""
    return merged(defaults(NODE), picture.cluster.ndparams, picture.groups[node.group].ndparams, node.ndparams)


def group_node_params(cluster: Cluster, group: Group) -> Params:
    """Node parameters that the nodes of a group inherit."""
    return merged(defaults(NODE), cluster.ndparams, group.ndparams)


def disk_params(cluster: Cluster, catalog: Catalog, template: str, group: Group | None = None) -> Params:
    """Disk template parameters in force for a group."""
    return merged(
        defaults(catalog.storage(template).params),
        cluster.diskparams.get(template, {}),
        group.diskparams.get(template, {}) if group is not None else {},
    )


def os_params(cluster: Cluster, os_name: str, own: Params, own_private: Params | None = None) -> Params:
    """Public and private OS parameters in force; secret ones are never stored and come with each call."""
    base = os_name.partition("+")[0]
    return merged(
        cluster.osparams.get(base, {}),
        cluster.osparams.get(os_name, {}),
        cluster.osparams_private_cluster.get(base, {}),
        cluster.osparams_private_cluster.get(os_name, {}),
        own,
        own_private or {},
    )


def instance_policy(picture: Picture, node: Node) -> Params:
    """The policy that instances on a node are judged by."""
    return policy.effective(picture.cluster.ipolicy, picture.groups[node.group].ipolicy)


def size_of(cluster: Cluster, instance: Instance) -> policy.Size:
    """What a policy judges of an instance."""
    beparams = backend_params(cluster, instance.beparams)
    return policy.Size(
        memory_mib=beparams["maxmem"],
        vcpus=beparams["vcpus"],
        disk_sizes_mib=tuple(disk.size for disk in instance.disks),
        nics=len(instance.nics),
        spindles=beparams["spindle_use"],
        disk_template=instance.disk_template,
    )

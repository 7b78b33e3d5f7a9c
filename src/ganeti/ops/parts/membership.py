"""What the nodes of a cluster must know of it, and who of them can become master. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.base import version
from ganeti.contract.calls.member import NodeSettingsPut
from ganeti.contract.view import View
from ganeti.model.objects import Node
from ganeti.model.picture import Picture


def candidates(picture: Picture) -> list[Node]:
    """The master candidates, by name."""
    return sorted((node for node in picture.nodes.values() if node.master_candidate), key=lambda node: node.name)


def can_be_candidate(node: Node) -> bool:
    """Whether it may be promoted."""
    return node.master_capable and not node.offline and not node.drained and not node.master_candidate


def promoted(picture: Picture, without: Iterable[str] = ()) -> list[Node]:
    """The nodes to promote so that the candidate pool is full, if those with the UUIDs `without` are no candidates."""
    gone = set(without)
    there = [node for node in candidates(picture) if node.uuid not in gone]
    able = sorted(
        (node for node in picture.nodes.values() if can_be_candidate(node) and node.uuid not in gone),
        key=lambda node: node.name,
    )
    return able[: max(0, picture.cluster.candidate_pool_size - len(there))]


def settings_for(picture: Picture, *, authority_key: str | None = None) -> NodeSettingsPut:
    """What every node shall know now."""
    cluster = picture.cluster
    return NodeSettingsPut(
        cluster_name=cluster.cluster_name,
        master_name=picture.nodes[cluster.master_node].name,
        master_ip=cluster.master_ip,
        master_netdev=cluster.master_netdev,
        master_netmask=cluster.master_netmask,
        callers=callers(picture),
        file_storage_dirs=(cluster.file_storage_dir, cluster.shared_file_storage_dir),
        ssconf=ssconf(picture),
        authority_key=authority_key,
    )


def callers(picture: Picture) -> tuple[str, ...]:
    """The certificates that nodes obey."""
    return tuple(node.certificate for node in candidates(picture) if node.certificate)


def ssconf(picture: Picture) -> dict[str, str]:
    """The files that scripts on every node read (spec: interfaces, section 6): name to content."""
    cluster = picture.cluster
    nodes = sorted(picture.nodes.values(), key=lambda node: node.name)
    chosen = candidates(picture)
    lines: dict[str, Iterable[object]] = {
        "cluster_name": [cluster.cluster_name],
        "cluster_tags": cluster.tags,
        "enabled_user_shutdown": [cluster.enabled_user_shutdown],
        "file_storage_dir": [cluster.file_storage_dir],
        "gluster_storage_dir": [cluster.gluster_storage_dir],
        "hypervisor_list": cluster.enabled_hypervisors,
        "instance_list": sorted(picture.instance_names),
        "maintain_node_health": [cluster.maintain_node_health],
        "master_candidates": [node.name for node in chosen],
        "master_candidates_certs": [f"{node.uuid}={node.certificate}" for node in chosen],
        "master_candidates_ips": [node.primary_ip for node in chosen],
        "master_ip": [cluster.master_ip],
        "master_netdev": [cluster.master_netdev],
        "master_netmask": [cluster.master_netmask],
        "master_node": [picture.nodes[cluster.master_node].name],
        "networks": [],
        "node_list": [node.name for node in nodes],
        "node_primary_ips": [f"{node.name} {node.primary_ip}" for node in nodes],
        "node_secondary_ips": [f"{node.name} {node.secondary_ip}" for node in nodes],
        "node_vm_capable": [f"{node.name}={node.vm_capable}" for node in nodes],
        "nodegroups": [f"{group.uuid} {group.name}" for group in sorted(picture.groups.values(), key=lambda g: g.name)],
        "offline_nodes": [node.name for node in nodes if node.offline],
        "online_nodes": [node.name for node in nodes if not node.offline],
        "primary_ip_family": [2 if cluster.primary_ip_family == 4 else 10],
        "release_version": [version.software()],
        "shared_file_storage_dir": [cluster.shared_file_storage_dir],
        "ssh_ports": [f"{node.name}={node.ndparams.get('ssh_port', 22)}" for node in nodes],
        "uid_pool": [f"{low}-{high}" for low, high in cluster.uid_pool],
    }
    for hypervisor in ("chroot", "fake", "kvm", "lxc", "xen-hvm", "xen-pvm"):
        own = cluster.hvparams.get(hypervisor, {})
        lines[f"hvparams_{hypervisor}"] = [f"{name}={value}" for name, value in sorted(own.items())]
    return {name: "".join(f"{line}\n" for line in content) for name, content in lines.items()}


def is_multi_homed(view: View) -> bool:
    """Whether the nodes have replication addresses of their own; judged by the master, which was there first."""
    master = view.picture.nodes[view.cluster.master_node]
    return master.primary_ip != master.secondary_ip

"""What operations tell their hooks about instances, nodes and groups (spec: interfaces, section 2). Pure.

Names are without the prefix `GANETI_`, which whoever runs them adds. A flag is `True` or `False`, a list has blanks
between its items, what is not set is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ganeti.contract.hooks import Hooks
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Disk, Instance, Nic, Node, Uuid


def of_instance(
    view: View,
    instance: Instance,
    *,
    path: str,
    own: Mapping[str, Any] | None = None,
    nodes: Iterable[Uuid] | None = None,
    pre_nodes: Iterable[Uuid] | None = None,
    post_nodes: Iterable[Uuid] | None = None,
) -> Hooks:
    """The hooks of an operation on one instance, which is told as the cluster has it now, or as given if it has it not.

    They run on the master and the instance's nodes, unless `nodes`, `pre_nodes` or `post_nodes` say where besides the
    master. `own` are the operation's own variables.
    """
    known = view.picture.instances.get(instance.uuid, instance)
    usual = (known.primary_node, *known.secondary_nodes) if nodes is None else tuple(nodes)
    return Hooks(
        path=path,
        object_type="INSTANCE",
        env=instance_environment(view, known) | {name: text(value) for name, value in (own or {}).items()},
        pre_nodes=with_master(view, usual if pre_nodes is None else pre_nodes),
        post_nodes=with_master(view, usual if post_nodes is None else post_nodes),
    )


def of_group(
    view: View, name: str, *, path: str, own: Mapping[str, Any] | None = None, nodes: Iterable[Uuid] = ()
) -> Hooks:
    """The hooks of an operation on a node group: on the master, and on `nodes`."""
    where = with_master(view, nodes)
    env = {"GROUP_NAME": name} if own is None else {key: text(value) for key, value in own.items()}
    return Hooks(path=path, object_type="GROUP", env=env, pre_nodes=where, post_nodes=where)


def with_master(view: View, nodes: Iterable[Uuid] = ()) -> tuple[Uuid, ...]:
    """The master and these, each once."""
    return tuple(dict.fromkeys((view.cluster.master_node, *nodes)))


def text(value: Any) -> str:
    """A value as scripts read it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(str(item) for item in value)
    return str(value)


def instance_environment(view: View, instance: Instance) -> dict[str, str]:
    """Everything about an instance, its parameters as they are in force."""
    backend = effective.backend_params(view.cluster, instance.beparams)
    hypervisor = effective.instance_hypervisor_params(view.cluster, view.catalog, instance)
    secondaries = [_node_name(view, uuid) for uuid in instance.secondary_nodes]
    values: dict[str, Any] = {
        "OP_TARGET": instance.name,
        "INSTANCE_NAME": instance.name,
        "INSTANCE_PRIMARY": _node_name(view, instance.primary_node),
        "INSTANCE_SECONDARIES": secondaries,
        "INSTANCE_SECONDARY": secondaries,  # what its documentation always called it
        "INSTANCE_OS_TYPE": instance.os,
        "INSTANCE_STATUS": "up" if instance.admin_state == "up" else "down",
        "INSTANCE_MINMEM": backend["minmem"],
        "INSTANCE_MAXMEM": backend["maxmem"],
        "INSTANCE_MEMORY": backend["maxmem"],
        "INSTANCE_VCPUS": backend["vcpus"],
        "INSTANCE_DISK_TEMPLATE": instance.disk_template,
        "INSTANCE_HYPERVISOR": instance.hypervisor,
        "INSTANCE_TAGS": instance.tags,
        "INSTANCE_NIC_COUNT": len(instance.nics),
        "INSTANCE_DISK_COUNT": len(instance.disks),
    }
    for index, nic in enumerate(instance.nics):
        values |= {f"INSTANCE_NIC{index}_{name}": value for name, value in _nic(view, nic).items()}
    for index, disk in enumerate(instance.disks):
        values |= {f"INSTANCE_DISK{index}_{name}": value for name, value in _disk(disk).items()}
    values |= {f"INSTANCE_BE_{name}": value for name, value in backend.items()}
    values |= {f"INSTANCE_HV_{name}": value for name, value in hypervisor.items()}
    return {name: text(value) for name, value in values.items()}


def node_environment(node: Node) -> dict[str, str]:
    """A node and its roles."""
    values: dict[str, Any] = {
        "OP_TARGET": node.name,
        "NODE_NAME": node.name,
        "NODE_PIP": node.primary_ip,
        "NODE_SIP": node.secondary_ip,
        "MASTER_CANDIDATE": node.master_candidate,
        "OFFLINE": node.offline,
        "DRAINED": node.drained,
        "MASTER_CAPABLE": node.master_capable,
        "VM_CAPABLE": node.vm_capable,
    }
    return {name: text(value) for name, value in values.items()}


def _nic(view: View, nic: Nic) -> dict[str, Any]:
    params = effective.nic_params(view.cluster, nic)
    values: dict[str, Any] = {
        "MAC": nic.mac,
        "IP": nic.ip,
        "MODE": params["mode"],
        "LINK": params["link"],
        "VLAN": params["vlan"],
        "UUID": nic.uuid,
        "NAME": nic.name,
        "NETWORK_NAME": nic.network,
    }
    if params["mode"] == "bridged":
        values["BRIDGE"] = params["link"]
    return values


def _disk(disk: Disk) -> dict[str, Any]:
    return {
        "SIZE": disk.size,
        "MODE": disk.mode,
        "NAME": disk.name,
        "UUID": disk.uuid,
        "DEV_TYPE": disk.dev_type,
    }


def _node_name(view: View, uuid: Uuid) -> str:
    node = view.picture.nodes.get(uuid)
    return "" if node is None else node.name

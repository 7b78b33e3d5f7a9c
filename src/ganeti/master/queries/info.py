"""The data of `gnt-cluster info`, `gnt-node info`, `gnt-group info`, `gnt-instance info`, `gnt-os list/diagnose/info`.

Plain JSON in reading order, whose keys are the words that are printed (spec: samples/*-info.txt), so that a printer
that knows nothing of the content prints them all:

- a dict is a block of lines `key: value`; a dict or list as value stands below, indented by two;
- a list is a sequence of items `- item`; an item that is a dict has its first key behind the dash, the others below;
- an empty dict, list or text leaves nothing behind the colon; None is `None`, true and false are `True`, `False`;
- a number that is whole is an int, an inherited parameter the text `default (128)`, a time is already a text in the
  local time of the master.

| `run(kind)` | data |
|---|---|
| cluster | one dict |
| node, group, instance | a list of dicts, one an object, in the order of names |
| os | a list of dicts, one a definition: name, valid, status (valid, partial, invalid), hidden, blacklisted, variants, api_versions, parameters, trusted, nodes (each: node, status (valid, invalid, missing), path, problems, variants, api_versions, parameters, trusted): the commands print it in forms of their own |
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ganeti.base import units
from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.calls.disk import DiskSizes
from ganeti.contract.os import OsFound
from ganeti.contract.view import View
from ganeti.master.queries import oses
from ganeti.master.queries.fields import each_once, natural
from ganeti.master.queries.guests import Look, inherited_hvparams, is_running, is_silent, located, online_nodes_of
from ganeti.master.queries.sources import Answers, Software, Sources
from ganeti.model import effective, policy
from ganeti.model.objects import Disk, Group, Instance, Nic, Node, Params, Uuid
from ganeti.model.params import defaults, merged


async def run(kind: str, names: Sequence[str], *, static: bool, sources: Sources) -> Any:
    """The data for `kind` (see above). No names mean all objects; `static` asks no node. `Refused` for unknown names."""
    view = sources.view
    match kind:
        case "cluster":
            return cluster(view, sources.software)
        case "node":
            nodes = each_once(view.picture.node(name) for name in names) if names else view.picture.nodes.values()
            return [node_block(view, node) for node in sorted(nodes, key=_name)]
        case "group":
            groups = each_once(view.picture.group(name) for name in names) if names else view.picture.groups.values()
            return [group_block(view, group) for group in sorted(groups, key=_name)]
        case "instance":
            found = each_once(map(view.picture.instance, names)) if names else view.picture.instances.values()
            return await _instances(view, sorted(found, key=_name), None if static else sources)
        case "os":
            rows = oses.merged(view, await sources.os_lists(oses.nodes_with_definitions(view)))
            return [os_block(view, row) for row in (oses.named(rows, names) if names else rows)]
        case _:
            raise Refused(
                WRONG_INPUT, f"there is no info about '{kind}'; there is about cluster, group, instance, node, os"
            )


def cluster(view: View, software: Software) -> dict[str, Any]:
    """`gnt-cluster info`."""
    c = view.cluster
    enabled = c.enabled_hypervisors
    return {
        "Cluster name": c.cluster_name,
        "Cluster UUID": c.uuid,
        "Creation time": _time(c.ctime),
        "Modification time": _time(c.mtime),
        "Master node": view.picture.nodes[c.master_node].name,
        "Architecture (this node)": f"{software.architecture[0]} ({software.architecture[1]})",
        "Tags": ", ".join(c.tags) or "(none)",
        "Default hypervisor": enabled[0],
        "Enabled hypervisors": ", ".join(enabled),
        "Hypervisor parameters": {name: _hypervisor_defaults(view, name) for name in sorted(enabled)},
        "OS-specific hypervisor parameters": _block(c.os_hvp),
        "OS parameters": _block(c.osparams),
        "Hidden OSes": ", ".join(c.hidden_os),
        "Blacklisted OSes": ", ".join(c.blacklisted_os),
        "Cluster parameters": _cluster_parameters(view, software),
        "Default node parameters": _block(merged(defaults(effective.NODE), c.ndparams)),
        "Default instance parameters": {"default": _block(effective.backend_params(c))},
        "Default nic parameters": {"default": _block(effective.nic_params(c))},
        "Default disk parameters": {
            template: _block(effective.disk_params(c, view.catalog, template))
            for template in sorted(view.catalog.storages)
        },
        "Instance policy - limits for instances": _cluster_policy(policy.effective(c.ipolicy)),
        "Data collectors": {name: _collector(own) for name, own in sorted(c.data_collectors.items())},
    }


def node_block(view: View, node: Node) -> dict[str, Any]:
    """A node in `gnt-node info`."""
    inherited = effective.group_node_params(view.cluster, view.picture.groups[node.group])
    in_force = merged(inherited, node.ndparams)
    return {
        "Node name": node.name,
        "primary ip": node.primary_ip,
        "secondary ip": node.secondary_ip,
        "master candidate": node.master_candidate,
        "drained": node.drained,
        "offline": node.offline,
        "master_capable": node.master_capable,
        "vm_capable": node.vm_capable,
        **({"powered": node.powered} if in_force["oob_program"] else {}),
        "primary for instances": sorted((i.name for i in view.picture.instances_on(node.uuid)), key=natural),
        "secondary for instances": sorted((i.name for i in view.picture.instances_mirrored_to(node.uuid)), key=natural),
        "node parameters": _with_origin(node.ndparams, inherited),
    }


def group_block(view: View, group: Group) -> dict[str, Any]:
    """A node group in `gnt-group info`."""
    c = view.cluster
    return {
        "Node group": group.name,
        "Node parameters": _with_origin(group.ndparams, merged(defaults(effective.NODE), c.ndparams)),
        "Disk parameters": {
            template: _with_origin(group.diskparams.get(template, {}), effective.disk_params(c, view.catalog, template))
            or "default ({})"
            for template in sorted(view.catalog.storages)
        },
        "Instance policy": _group_policy(group.ipolicy, policy.effective(c.ipolicy)),
    }


def os_block(view: View, row: oses.OsRow) -> dict[str, Any]:
    """An OS definition, with what each node has of it."""
    return {
        "name": row.name,
        "valid": row.valid,
        "status": row.global_status,
        "hidden": row.name in view.cluster.hidden_os,
        "blacklisted": row.name in view.cluster.blacklisted_os,
        "variants": row.variants,
        "api_versions": row.api_versions,
        "parameters": row.parameters,
        "trusted": row.trusted,
        "nodes": [_os_on_node(node, found) for node, found in row.on_nodes.items()],
    }


# --- instances ---


async def _instances(view: View, instances: Sequence[Instance], sources: Sources | None) -> list[dict[str, Any]]:
    """The blocks of instances; without sources no node is asked."""
    if sources is None:
        return [instance_block(view, instance) for instance in instances]
    answers = await sources.live_guests(online_nodes_of(view, instances))
    found = located({instance.uuid: instance for instance in instances}, view, answers)
    look = Look(view=view, guests=answers, by_instance=found)
    return [
        instance_block(view, instance, state=_actual_state(look, instance), sizes=sizes)
        for instance, sizes in zip(instances, await _disk_sizes(view, instances, sources), strict=True)
    ]


async def _disk_sizes(view: View, instances: Sequence[Instance], sources: Sources) -> list[Sequence[int | None] | None]:
    """For each instance the real sizes of its disks on the primary node; None where the node did not say."""
    wanted: dict[Uuid, list[Disk]] = {}
    for instance in instances:
        node = view.picture.nodes.get(instance.primary_node)
        if node is not None and not node.offline and instance.disks:
            wanted.setdefault(node.uuid, []).extend(instance.disks)
    answers: Answers[DiskSizes] = await sources.disk_sizes(wanted) if wanted else {}
    told: dict[Uuid, int | None] = {}
    for uuid, answer in answers.items():
        if isinstance(answer, DiskSizes):
            told.update(zip((disk.uuid for disk in wanted[uuid]), answer.sizes_mib, strict=True))
    return [
        [told[disk.uuid] for disk in instance.disks] if all(disk.uuid in told for disk in instance.disks) else None
        for instance in instances
    ]


def instance_block(
    view: View, instance: Instance, *, state: str | None = None, sizes: Sequence[int | None] | None = None
) -> dict[str, Any]:
    """An instance in `gnt-instance info`. `state` is what it does now, `sizes` those of its disks on the primary node."""
    inherited_be = effective.backend_params(view.cluster)
    backend = _with_origin(instance.beparams, inherited_be)
    backend["memory"] = backend["maxmem"]
    inherited_hv = inherited_hvparams(view, instance.hypervisor, instance.os)
    return {
        "Instance name": instance.name,
        "UUID": instance.uuid,
        "Serial number": instance.serial_no,
        "Creation time": _time(instance.ctime),
        "Modification time": _time(instance.mtime),
        "State": f"configured to be {instance.admin_state}" + (f", actual state is {state}" if state else ""),
        "Nodes": [
            _primary(view, instance),
            {"secondaries": [_secondary(view, uuid) for uuid in instance.secondary_nodes]},
        ],
        "Operating system": instance.os,
        "Operating system parameters": _os_parameters(view, instance),
        "Allocated network port": instance.network_port,
        "Hypervisor": instance.hypervisor,
        **_vnc(view, instance, merged(inherited_hv, instance.hvparams)),
        "Hypervisor parameters": _with_origin(instance.hvparams, inherited_hv),
        "Back-end parameters": dict(sorted(backend.items())),
        "NICs": [_nic(view, index, nic) for index, nic in enumerate(instance.nics)],
        "Disk template": instance.disk_template,
        "Disks": [
            _disk(view, index, disk, sizes[index : index + 1] if sizes is not None else ())
            for index, disk in enumerate(instance.disks)
        ],
    }


def _actual_state(look: Look, instance: Instance) -> str:
    node = look.view.picture.nodes.get(instance.primary_node)
    where, guest = look.by_instance.get(instance.uuid, (None, None))
    if guest is not None and where is not None and is_running(guest):
        state = "up" if guest.status == "running" else "up (paused)"
        name = look.node_name(where)
        return state if where == instance.primary_node else f"{state}, but on the wrong node {name}"
    if node is not None and node.offline:
        return f"unknown: node {node.name} is offline"
    if is_silent(look.guests.get(instance.primary_node), instance.hypervisor):
        return f"unknown: node {look.node_name(instance.primary_node)} does not answer"
    return "down, by its user" if guest is not None and guest.status == "user-down" else "down"


def _primary(view: View, instance: Instance) -> dict[str, Any]:
    node = view.picture.nodes.get(instance.primary_node)
    if node is None:
        return {"primary": None}
    return {"primary": node.name, "group": f"{view.picture.groups[node.group].name} (UUID {node.group})"}


def _secondary(view: View, uuid: Uuid) -> str:
    node = view.picture.nodes[uuid]
    return f"{node.name} (group {view.picture.groups[node.group].name}, group UUID {node.group})"


def _os_parameters(view: View, instance: Instance) -> Params:
    base = instance.os.partition("+")[0]
    c = view.cluster
    inherited = merged(c.osparams.get(base, {}), c.osparams.get(instance.os, {}))
    hidden = {
        *c.osparams_private_cluster.get(base, {}),
        *c.osparams_private_cluster.get(instance.os, {}),
        *instance.osparams_private,
    }
    return {**_with_origin(instance.osparams, inherited), **dict.fromkeys(sorted(hidden), "<redacted>")}


def _vnc(view: View, instance: Instance, hvparams: Params) -> dict[str, str]:
    address, port = hvparams.get("vnc_bind_address"), instance.network_port
    if not address or port is None:
        return {}
    if str(address).startswith("/"):
        return {"console connection": f"vnc to {address} (a socket on the node)"}
    node = view.picture.nodes[instance.primary_node].name
    host = node if address in ("0.0.0.0", "::") else f"{address} on {node}"
    return {"console connection": f"vnc to {host}:{port} (display {port - 5900})"}


def _nic(view: View, index: int, nic: Nic) -> dict[str, Any]:
    in_force = effective.nic_params(view.cluster, nic)
    return {
        f"nic/{index}": "",
        "MAC": nic.mac,
        "IP": nic.ip,
        "mode": in_force["mode"],
        "link": in_force["link"],
        "vlan": in_force["vlan"],
        "network": nic.network,
        "UUID": nic.uuid,
        "name": nic.name,
    }


def _disk(view: View, index: int, disk: Disk, size: Sequence[int | None]) -> dict[str, Any]:
    return {
        f"disk/{index}": f"{disk.dev_type}, size {units.format_mib(disk.size)}",
        "access mode": disk.mode,
        **_address(view, disk),
        **({"on primary": _found_disk(disk, size[0])} if size else {}),
        "name": disk.name,
        "UUID": disk.uuid,
    }


def _address(view: View, disk: Disk) -> dict[str, Any]:
    traits = view.catalog.storages.get(disk.dev_type)
    if traits is None or traits.mirrored != "internal" or len(disk.logical_id) != 6:
        return {"logical_id": str(list(disk.logical_id))}
    node_a, node_b, port, minor_a, minor_b, _secret = disk.logical_id
    names = {uuid: node.name for uuid, node in view.picture.nodes.items()}
    return {
        "nodeA": f"{names.get(node_a, node_a)}, minor={minor_a}",
        "nodeB": f"{names.get(node_b, node_b)}, minor={minor_b}",
        "port": port,
        "auth key": "<redacted>",
    }


def _found_disk(disk: Disk, size_mib: int | None) -> str:
    if size_mib is None:
        return "missing"
    last = str(disk.logical_id[-1]) if disk.logical_id else ""
    path = last if last.startswith("/") else "there"
    grown = "" if size_mib == disk.size else f", real size {units.format_mib(size_mib)}"
    return f"{path} (N/A:N/A){grown}"


# --- clusters and policies ---


def _hypervisor_defaults(view: View, name: str) -> Params:
    if name not in view.catalog.hypervisors:
        return _block(view.cluster.hvparams.get(name, {}))
    return _block(effective.hypervisor_params(view.cluster, view.catalog, name))


def _cluster_parameters(view: View, software: Software) -> dict[str, Any]:
    c = view.cluster
    return {
        "candidate pool size": c.candidate_pool_size,
        "maximal number of jobs running simultaneously": c.max_running_jobs,
        "maximal number of jobs simultaneously tracked by the scheduler": c.max_tracked_jobs,
        "mac prefix": c.mac_prefix,
        "master netdev": c.master_netdev,
        "master netmask": c.master_netmask,
        "use external master IP address setup script": c.use_external_mip_script,
        "lvm volume group": c.volume_group_name,
        "lvm reserved volumes": ", ".join(c.reserved_lvs) or "(none)",
        "drbd usermode helper": c.drbd_usermode_helper,
        "file storage path": c.file_storage_dir,
        "shared file storage path": c.shared_file_storage_dir,
        "gluster storage path": c.gluster_storage_dir,
        "maintenance of node health": c.maintain_node_health,
        "uid pool": ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in c.uid_pool),
        "default instance allocator": c.default_iallocator,
        "default instance allocator parameters": _block(c.default_iallocator_params),
        "primary ip version": c.primary_ip_family,
        "preallocation wipe disks": c.prealloc_wipe_disks,
        "OS search path": ", ".join(software.os_search_path),
        "ExtStorage Providers search path": ", ".join(software.extstorage_search_path),
        "enabled disk templates": ", ".join(c.enabled_disk_templates),
        "install image": c.install_image,
        "instance communication network": c.instance_communication_network,
        "zeroing image": c.zeroing_image,
        "compression tools": list(c.compression_tools),
        "enabled user shutdown": c.enabled_user_shutdown,
        "modify ssh setup": c.modify_ssh_setup,
        "ssh_key_type": c.ssh_key_type,
        "ssh_key_bits": c.ssh_key_bits,
    }


def _cluster_policy(in_force: Params) -> dict[str, Any]:
    return {
        "bounds specs": [
            {f"{bound}/{index}": _block(pair[bound]) for bound in ("max", "min")}
            for index, pair in enumerate(in_force["minmax"])
        ],
        "std": _block(in_force["std"]),
        "allowed disk templates": ", ".join(in_force["disk-templates"]),
        "spindle-ratio": _value(in_force["spindle-ratio"]),
        "vcpu-ratio": _value(in_force["vcpu-ratio"]),
    }


def _group_policy(own: Params, inherited: Params) -> dict[str, Any]:
    bounds: Any = own.get("minmax", inherited["minmax"])
    is_own = "minmax" in own
    allowed: Any = own.get("disk-templates", inherited["disk-templates"])
    templates = ", ".join(allowed)
    return {
        "bounds specs": [
            {
                f"{bound}/{index}": _block(pair[bound]) if is_own else _with_origin({}, pair[bound])
                for bound in ("max", "min")
            }
            for index, pair in enumerate(bounds)
        ],
        "allowed disk templates": templates if "disk-templates" in own else f"default ({templates})",
        "vcpu-ratio": _one_with_origin("vcpu-ratio", own, inherited),
        "spindle-ratio": _one_with_origin("spindle-ratio", own, inherited),
    }


def _collector(own: Params) -> dict[str, Any]:
    """Intervals are kept in microseconds (spec: interfaces, section 8)."""
    interval = own.get("interval")
    shown = {"interval": f"{interval / 1_000_000:.3f}s"} if isinstance(interval, (int, float)) else {}
    return {**_block(own), **shown}


def _os_on_node(node: str, found: OsFound | None) -> dict[str, Any]:
    if found is None:
        return {"node": node, "status": "missing"}
    return {
        "node": node,
        "status": "valid" if found.valid else "invalid",
        "path": found.path,
        "problems": list(found.problems),
        "variants": list(found.variants),
        "api_versions": sorted(found.api_versions, reverse=True),
        "parameters": found.parameters,
        "trusted": found.trusted,
    }


# --- values ---


def _with_origin(own: Params, inherited: Params) -> Params:
    """Every parameter in force; an inherited one as the text `default (VALUE)`."""
    return {name: _one_with_origin(name, own, inherited) for name in sorted({*inherited, *own})}


def _one_with_origin(name: str, own: Params, inherited: Params) -> Any:
    return _value(own[name]) if name in own else f"default ({_value(inherited[name])})"


def _block(params: Params) -> dict[str, Any]:
    return {name: _value(params[name]) for name in sorted(params)}


def _value(value: Any) -> Any:
    """A value as it is printed: a whole number without a point."""
    match value:
        case dict():
            return _block(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _name(obj: Node | Group | Instance) -> list[str | int]:
    return natural(obj.name)

"""Instances as lists show them. Spec: cli, "instance — 292 fields"; status values at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ganeti.contract import api
from ganeti.contract.guest import Console, GuestState
from ganeti.contract.view import View
from ganeti.master.queries.fields import (
    MAX_DISKS,
    MAX_NICS,
    NO_DATA,
    UNAVAILABLE,
    Cell,
    Column,
    Field,
    Kind,
    Need,
    by_name,
    cells,
    chosen,
    each_once,
    looked_up,
    natural,
    plain,
    stored_fields,
)
from ganeti.master.queries.guests import Look, inherited_hvparams, is_running, located, online_nodes_of, status
from ganeti.master.queries.sources import Answers, Sources
from ganeti.model import effective
from ganeti.model.objects import Instance, Nic, Params

DRBD_META_MIB: Final = 128
"""Room that a mirrored disk takes besides its data, on each of its nodes."""


class Instances:
    """The resource `instance`."""

    default_fields = ("name", "hypervisor", "os", "pnode", "status", "oper_ram")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[Look, Instance]]:
        """See `Resource.fields`. Parameters of a driver that the usual list lacks are fields as well."""
        extra: dict[str, Field[Look, Instance]] = {}
        for traits in view.catalog.hypervisors.values():
            for param in traits.params:
                name = f"hv/{param.name}"
                if name not in _FIELDS and not param.cluster_only:
                    kind: Kind = {"bool": "bool", "int": "number", "float": "number"}.get(param.kind, "other")  # type: ignore[assignment]  # the values are kinds
                    extra[name] = _hypervisor_field(param.name, kind, name)
        return {**_FIELDS, **extra} if extra else _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[Instance]:
        """See `Resource.rows`."""
        return sorted(view.picture.instances.values(), key=_name_key)

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[Instance]:
        """See `Resource.named`."""
        return sorted(each_once(chosen(names, view.picture.instance, "Instance")), key=_name_key)

    async def look(self, sources: Sources, view: View, rows: Sequence[Instance], needs: frozenset[Need]) -> Look:
        """See `Resource.look`. Asked are the nodes where the instances are or could be."""
        if not needs:
            return Look(view=view)
        answers = await sources.live_guests(online_nodes_of(view, rows))
        found = located({instance.uuid: instance for instance in rows}, view, answers)
        consoles: Answers[Console] = {}
        if "consoles" in needs:
            running = [row for row in rows if row.uuid in found and is_running(found[row.uuid][1])]
            consoles = await sources.consoles([row for row in running if found[row.uuid][0] == row.primary_node])
        return Look(view=view, guests=answers, by_instance=found, consoles=consoles)


def _name_key(instance: Instance) -> list[str | int]:
    return natural(instance.name)


# --- live columns ---


def _oper_state(look: Look, instance: Instance) -> Cell:
    live = look.live(instance)
    if isinstance(live, GuestState):
        return api.NORMAL, is_running(live)
    return (api.NORMAL, False) if live == UNAVAILABLE else live


def _of_running(read: Callable[[GuestState], int]) -> Callable[[Look], Column[Instance]]:
    def value(look: Look, instance: Instance) -> Cell:
        live = look.live(instance)
        if not isinstance(live, GuestState):
            return live
        return (api.NORMAL, read(live)) if is_running(live) else UNAVAILABLE

    return cells(value)


def _console(look: Look, instance: Instance) -> Cell:
    live = look.live(instance)
    if not isinstance(live, GuestState):
        return live
    if not is_running(live):
        return UNAVAILABLE
    console = look.consoles.get(instance.uuid)
    return (api.NORMAL, msgspec.to_builtins(console)) if isinstance(console, Console) else NO_DATA


# --- nodes and groups ---


def _group(look: Look, instance: Instance, part: int) -> str | None:
    group = look.group_of(instance.primary_node)
    return group[part] if group is not None else None


def _secondary_groups(look: Look, instance: Instance, part: int) -> list[str]:
    groups = [look.group_of(node) for node in instance.secondary_nodes]
    return [group[part] for group in groups if group is not None]


# --- NICs and disks ---


def _nic_value(name: str, inherited: Params, nic: Nic) -> Any:
    match name:
        case "ip" | "mac" | "name" | "uuid" | "network":
            return getattr(nic, name)
        case "mode" | "link" | "vlan":
            return nic.nicparams.get(name, inherited[name])
        case "bridge":
            mode = nic.nicparams.get("mode", inherited["mode"])
            return nic.nicparams.get("link", inherited["link"]) if mode == "bridged" else None
        case "network.name":
            return None  # networks are no objects of the configuration yet: only their UUID is known
        case _:
            raise KeyError(name)


def _nic_list(name: str) -> Callable[[Look], Column[Instance]]:
    def bind(look: Look) -> Column[Instance]:
        inherited = effective.nic_params(look.view.cluster)
        return lambda row: (api.NORMAL, [_nic_value(name, inherited, nic) for nic in row.nics])

    return bind


def _nic_at(name: str, index: int) -> Callable[[Look], Column[Instance]]:
    def bind(look: Look) -> Column[Instance]:
        inherited = effective.nic_params(look.view.cluster)

        def column(row: Instance) -> Cell:
            value = _nic_value(name, inherited, row.nics[index]) if index < len(row.nics) else None
            return UNAVAILABLE if value is None else (api.NORMAL, value)

        return column

    return bind


def _disk_at(name: str, index: int, row: Instance) -> Any:
    return getattr(row.disks[index], name) if index < len(row.disks) else None


def disk_usage_mib(view: View, instance: Instance) -> int:
    """Room that the disks take on the primary node."""
    total = 0
    for disk in instance.disks:
        traits = view.catalog.storages.get(disk.dev_type)
        total += disk.size + (DRBD_META_MIB if traits is not None and traits.mirrored == "internal" else 0)
    return total


# --- parameters ---


def _backend(look: Look) -> Column[Instance]:
    inherited = effective.backend_params(look.view.cluster)
    return lambda row: (api.NORMAL, {**inherited, **row.beparams})


def _backend_value(name: str) -> Callable[[Look], Column[Instance]]:
    def bind(look: Look) -> Column[Instance]:
        inherited = effective.backend_params(look.view.cluster)[name]
        return lambda row: (api.NORMAL, row.beparams.get(name, inherited))

    return bind


def _hypervisor_value(name: str) -> Callable[[Look], Column[Instance]]:
    def bind(look: Look) -> Column[Instance]:
        levels: dict[tuple[str, str], Any] = {}

        def column(row: Instance) -> Cell:
            key = (row.hypervisor, row.os)
            if key not in levels:
                levels[key] = inherited_hvparams(look.view, *key).get(name)
            value = row.hvparams.get(name, levels[key])
            return UNAVAILABLE if value is None else (api.NORMAL, value)

        return column

    return bind


def _hypervisor_field(name: str, kind: Kind, title: str) -> Field[Look, Instance]:
    doc = f"Hypervisor parameter {name} in force"
    return Field(name=f"hv/{name}", title=title, kind=kind, doc=doc, column=_hypervisor_value(name))


_HV_TITLES: Final = {
    "acpi": "ACPI",
    "boot_order": "Boot_order",
    "cdrom_image_path": "CDROM_image_path",
    "cpu_type": "cpu_type",
    "disk_type": "Disk_type",
    "initrd_path": "Initrd_path",
    "kernel_path": "Kernel_path",
    "nic_type": "NIC_type",
    "pae": "PAE",
    "pci_pass": "pci_pass",
    "vnc_bind_address": "VNC_bind_address",
}
_HV_FIELDS: Final[dict[Kind, str]] = {
    "bool": """
        acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent use_bootloader use_chroot
        use_guest_agent use_localtime user_shutdown vhost_net viridian vnc_tls vnc_x509_verify vnet_hdr""",
    "number": """
        cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations migration_downtime num_ttys
        serial_speed spice_ip_version startup_timeout virtio_net_queues""",
    "other": """
        blockdev_prefix boot_order bootloader_args bootloader_path cdrom2_image_path cdrom_disk_type cdrom_image_path
        cpu_mask cpu_type cpuid device_model devices disk_aio disk_cache disk_discard disk_type drop_capabilities
        extra_cgroups extra_config floppy_image_path init_script initrd_path kernel_args kernel_path keymap kvm_extra
        kvm_flag kvm_path machine_version mem_path migration_caps nic_type pci_pass reboot_behavior root_path
        scsi_controller_type security_domain security_model soundhw spice_bind spice_image_compression
        spice_jpeg_wan_compression spice_password_file spice_streaming_video spice_tls_ciphers
        spice_zlib_glz_wan_compression usb_devices usb_mouse vga vif_script vif_type vnc_bind_address
        vnc_password_file vnc_x509_path""",
}
_BE_TITLES: Final = {
    "auto_balance": "Auto_balance",
    "maxmem": "ConfigMaxMem",
    "minmem": "ConfigMinMem",
    "vcpus": "ConfigVCPUs",
}
_KIND_OF_PARAM: Final[dict[str, Kind]] = {"bool": "bool", "size": "unit", "int": "number"}
_NIC_LISTS: Final = (
    ("macs", "MACs", "mac"),
    ("ips", "IPs", "ip"),
    ("names", "Names", "name"),
    ("uuids", "UUIDs", "uuid"),
    ("modes", "modes", "mode"),
    ("links", "links", "link"),
    ("vlans", "VLANs", "vlan"),
    ("bridges", "bridges", "bridge"),
    ("networks", "networks", "network"),
    ("networks.names", "networks_names", "network.name"),
)
_NIC_VALUES: Final = (
    ("ip", "NicIP"),
    ("mac", "NicMAC"),
    ("name", "NicName"),
    ("uuid", "NicUUID"),
    ("mode", "NicMode"),
    ("link", "NicLink"),
    ("bridge", "NicBridge"),
    ("vlan", "NicVLAN"),
    ("network", "NicNetwork"),
    ("network.name", "NicNetworkName"),
)
_DISK_VALUES: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("size", "Disk", "unit"),
    ("spindles", "DiskSpindles", "number"),
    ("name", "DiskName", "text"),
    ("uuid", "DiskUUID", "text"),
)
_OLD_NAMES: Final = {
    "vcpus": "be/vcpus",
    "be/memory": "be/maxmem",
    "sda_size": "disk.size/0",
    "sdb_size": "disk.size/1",
    "ip": "nic.ip/0",
    "mac": "nic.mac/0",
    "bridge": "nic.bridge/0",
    "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0",
    "nic_network": "nic.network/0",
}


def _f(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    column: Callable[[Look], Column[Instance]],
    *needs: Need,
    is_host: bool = False,
) -> Field[Look, Instance]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=column, needs=frozenset(needs), is_host=is_host)


def _own_fields() -> list[Field[Look, Instance]]:
    return [
        _f("name", "Instance", "text", "Name", plain(lambda i: i.name), is_host=True),
        _f("admin_state", "InstanceState", "text", "Desired state: up, down, offline", plain(lambda i: i.admin_state)),
        _f("admin_up", "Autostart", "bool", "Whether it shall run", plain(lambda i: i.admin_state == "up")),
        _f(
            "admin_state_source",
            "InstanceStateSource",
            "text",
            "Who decided the desired state: admin or user",
            plain(lambda i: i.admin_state_source),
        ),
        _f("disks_active", "DisksActive", "bool", "Whether its disks shall be there", plain(lambda i: i.disks_active)),
        _f("forthcoming", "Forthcoming", "bool", "Whether it is only reserved", plain(lambda i: i.forthcoming)),
        _f("disk_template", "Disk_template", "text", "Disk template", plain(lambda i: i.disk_template)),
        _f("hypervisor", "Hypervisor", "text", "Hypervisor", plain(lambda i: i.hypervisor)),
        _f("network_port", "Network_port", "other", "Port of its console, if any", plain(lambda i: i.network_port)),
        _f("os", "OS", "text", "Operating system and variant", plain(lambda i: i.os)),
        _f("nic.count", "NICs", "number", "Number of NICs", plain(lambda i: len(i.nics))),
        _f("disk.count", "Disks", "number", "Number of disks", plain(lambda i: len(i.disks))),
        _f("disk.sizes", "Disk_sizes", "other", "Size of each disk in MiB", plain(lambda i: [d.size for d in i.disks])),
        _f(
            "disk.spindles",
            "Disk_spindles",
            "other",
            "Spindles of each disk",
            plain(lambda i: [d.spindles for d in i.disks]),
        ),
        _f("disk.names", "Disk_names", "other", "Name of each disk", plain(lambda i: [d.name for d in i.disks])),
        _f("disk.uuids", "Disk_UUIDs", "other", "UUID of each disk", plain(lambda i: [d.uuid for d in i.disks])),
        _f(
            "disk_usage",
            "DiskUsage",
            "unit",
            "Room its disks take on a node",
            looked_up(lambda k, i: disk_usage_mib(k.view, i)),
        ),
        *stored_fields(),
    ]


def _node_fields() -> list[Field[Look, Instance]]:
    return [
        _f(
            "pnode",
            "Primary_node",
            "text",
            "Primary node",
            looked_up(lambda k, i: k.node_name(i.primary_node)),
            is_host=True,
        ),
        _f("pnode.group", "PrimaryNodeGroup", "text", "Group of the primary node", looked_up(partial(_group, part=0))),
        _f(
            "pnode.group.uuid", "PrimaryNodeGroupUUID", "text", "UUID of that group", looked_up(partial(_group, part=1))
        ),
        _f(
            "snodes",
            "Secondary_Nodes",
            "other",
            "Secondary nodes",
            looked_up(lambda k, i: [k.node_name(node) for node in i.secondary_nodes]),
            is_host=True,
        ),
        _f(
            "snodes.group",
            "SecondaryNodesGroups",
            "other",
            "Groups of the secondary nodes",
            looked_up(partial(_secondary_groups, part=0)),
        ),
        _f(
            "snodes.group.uuid",
            "SecondaryNodesGroupsUUID",
            "other",
            "UUIDs of those groups",
            looked_up(partial(_secondary_groups, part=1)),
        ),
    ]


def _live_fields() -> list[Field[Look, Instance]]:
    return [
        _f("oper_state", "Running", "bool", "Whether it runs on its primary node", cells(_oper_state), "guests"),
        _f("oper_ram", "Memory", "unit", "Memory it uses now", _of_running(lambda guest: guest.memory_mib), "guests"),
        _f(
            "oper_vcpus", "VCPUs", "number", "Virtual CPUs it has now", _of_running(lambda guest: guest.vcpus), "guests"
        ),
        _f("status", "Status", "text", "Desired and actual state in one word", looked_up(status), "guests"),
        _f("console", "Console", "other", "How its console is reached", cells(_console), "guests", "consoles"),
    ]


def _param_fields() -> list[Field[Look, Instance]]:
    found = [
        _f(
            "hvparams",
            "HypervisorParameters",
            "other",
            "Hypervisor parameters in force",
            looked_up(lambda k, i: k.hvparams(i)),
        ),
        _f("beparams", "BackendParameters", "other", "Back-end parameters in force", _backend),
        _f(
            "osparams",
            "OpSysParameters",
            "other",
            "Public OS parameters in force",
            looked_up(lambda k, i: k.osparams(i)),
        ),
        _f(
            "custom_hvparams",
            "CustomHypervisorParameters",
            "other",
            "Its own hypervisor parameters",
            plain(lambda i: i.hvparams),
        ),
        _f(
            "custom_beparams",
            "CustomBackendParameters",
            "other",
            "Its own back-end parameters",
            plain(lambda i: i.beparams),
        ),
        _f(
            "custom_osparams",
            "CustomOpSysParameters",
            "other",
            "Its own public OS parameters",
            plain(lambda i: i.osparams),
        ),
        _f(
            "custom_nicparams",
            "CustomNicParameters",
            "other",
            "Own parameters of each NIC",
            plain(lambda i: [nic.nicparams for nic in i.nics]),
        ),
    ]
    for kind, names in _HV_FIELDS.items():
        found += [_hypervisor_field(name, kind, _HV_TITLES.get(name, f"hv/{name}")) for name in names.split()]
    for param in effective.BACKEND:
        title = _BE_TITLES.get(param.name, f"be/{param.name}")
        doc = f"Back-end parameter in force: {param.summary}"
        found.append(_f(f"be/{param.name}", title, _KIND_OF_PARAM[param.kind], doc, _backend_value(param.name)))
    return found


def _device_fields() -> list[Field[Look, Instance]]:
    found = [
        _f(f"nic.{plural}", f"NIC_{title}", "other", f"The {name} of each NIC", _nic_list(name))
        for plural, title, name in _NIC_LISTS
    ]
    for index in range(MAX_NICS):
        for name, title in _NIC_VALUES:
            doc = f"The {name} of NIC {index}"
            found.append(_f(f"nic.{name}/{index}", f"{title}/{index}", "text", doc, _nic_at(name, index)))
    for index in range(MAX_DISKS):
        for name, title, kind in _DISK_VALUES:
            doc = f"The {name} of disk {index}"
            column = plain(partial(_disk_at, name, index))
            found.append(_f(f"disk.{name}/{index}", f"{title}/{index}", kind, doc, column))
    return found


def _declared() -> dict[str, Field[Look, Instance]]:
    found = by_name([*_own_fields(), *_node_fields(), *_live_fields(), *_param_fields(), *_device_fields()])
    old = [
        _f(name, found[new].title, found[new].kind, f"The same as {new}", found[new].column)
        for name, new in _OLD_NAMES.items()
    ]
    return by_name([*found.values(), *old])


_FIELDS: Final = _declared()

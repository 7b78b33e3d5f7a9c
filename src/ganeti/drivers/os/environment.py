"""The environment that scripts of an OS definition get (spec: interfaces, section 1). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ganeti.contract.guest import AttachedDisk, Guest, GuestNic
from ganeti.drivers.os.reading import variable

PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"

Environment = dict[str, str]


def of_definition(
    *, name: str, variant: str, api_version: int, params: Mapping[str, str], debug_level: int = 0
) -> Environment:
    """What every script gets, and all that `verify` gets: public, private and secret parameters alike."""
    return {
        "PATH": PATH,
        "OS_API_VERSION": str(api_version),
        "OS_NAME": name,
        "OS_VARIANT": variant,
        "DEBUG_LEVEL": str(debug_level),
        **{variable(parameter): _text(value) for parameter, value in params.items()},
    }


def of_guest(guest: Guest, disks: Sequence[AttachedDisk]) -> Environment:
    """What scripts learn of the guest they work for."""
    result = {
        "INSTANCE_NAME": guest.name,
        "INSTANCE_UUID": guest.uuid,
        "INSTANCE_OS": guest.os,
        "INSTANCE_PRIMARY_NODE": guest.primary_node,
        "INSTANCE_SECONDARY_NODES": " ".join(guest.secondary_nodes),
        "INSTANCE_CTIME": str(guest.ctime),
        "INSTANCE_MTIME": str(guest.mtime),
        "HYPERVISOR": guest.hypervisor,
        "DISK_COUNT": str(len(disks)),
        "NIC_COUNT": str(len(guest.nics)),
    }
    for number, disk in enumerate(disks):
        result |= _named(f"DISK_{number}_", _of_disk(disk, guest))
    for number, nic in enumerate(guest.nics):
        result |= _named(f"NIC_{number}_", _of_nic(nic, guest))
    for kind, params in (("BE", guest.beparams), ("HV", guest.hvparams)):
        for name, value in params.items():
            # The interface leaves the case of the name open: both are there.
            result[f"INSTANCE_{kind}_{name}"] = result[f"INSTANCE_{kind}_{name.upper()}"] = _text(value)
    return result


def _of_disk(attached: AttachedDisk, guest: Guest) -> dict[str, str | None]:
    disk = attached.disk
    driver = disk.logical_id[0] if disk.logical_id and not attached.is_block_device else None
    return {
        "PATH": attached.path,
        "SIZE": str(disk.size),
        "ACCESS": "w" if disk.mode == "rw" else "r",
        "UUID": disk.uuid,
        "NAME": disk.name,
        "URI": attached.uri,
        "FRONTEND_TYPE": _optional(guest.hvparams.get("disk_type")),
        "BACKEND_TYPE": f"file:{driver}" if driver in {"loop", "blktap"} else "block",
    }


def _of_nic(nic: GuestNic, guest: Guest) -> dict[str, str | None]:
    result = {
        "MAC": nic.mac,
        "IP": nic.ip,
        "MODE": nic.mode,
        "BRIDGE": nic.link if nic.mode == "bridged" else None,
        "LINK": nic.link,
        "UUID": nic.uuid,
        "NAME": nic.name,
        "FRONTEND_TYPE": _optional(guest.hvparams.get("nic_type")),
    }
    network = nic.network
    if network is not None:
        result |= {
            "NETWORK_NAME": network.name,
            "NETWORK_SUBNET": network.subnet,
            "NETWORK_GATEWAY": network.gateway,
            "NETWORK_SUBNET6": network.subnet6,
            "NETWORK_GATEWAY6": network.gateway6,
            "NETWORK_MAC_PREFIX": network.mac_prefix,
            "NETWORK_TAGS": " ".join(network.tags),
        }
    return result


def _named(prefix: str, values: Mapping[str, str | None]) -> Environment:
    """What is absent has no variable at all."""
    return {prefix + name: value for name, value in values.items() if value is not None}


def _optional(value: Any) -> str | None:
    return str(value) if value else None


def _text(value: Any) -> str:
    return "" if value is None else str(value)

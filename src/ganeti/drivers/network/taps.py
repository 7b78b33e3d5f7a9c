"""Tap interfaces: the host's end of a guest's NIC. Real ones, and how they are called."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from typing import Final

from ganeti.base.errors import Failed
from ganeti.drivers.network import netlink

TAP_PREFIX: Final = "gnt-"
"""Every tap of ours begins so."""

NAME_LIMIT: Final = 15
_DEVICE: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_TUNSETPERSIST: Final = 0x400454CB
_IFF_TAP: Final = 0x0002
_IFF_MULTI_QUEUE: Final = 0x0100
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000


def tap_prefix(guest_uuid: str) -> str:
    """What the taps of one guest begin with."""
    return f"{TAP_PREFIX}{guest_uuid.replace('-', '')[:8]}-"


def tap_name(guest_uuid: str, index: int) -> str:
    """The tap of a guest's NIC, for indexes below 100."""
    return f"{tap_prefix(guest_uuid)}{index}"


def host_side(mac: str) -> str:
    """The tap's own address for a guest's MAC: first octet fe.

    The highest that is not multicast, so a bridge, which takes the lowest address of its ports, never takes this one.
    """
    return "fe" + mac[2:]


class SystemTaps:
    """The taps of this host. `mac` is the guest's; the tap itself gets `host_side` of it."""

    async def create(self, interface: str, *, mac: str, queues: int = 1, vnet_hdr: bool = True) -> None:
        """See `Taps.create`."""
        if not 0 < len(interface.encode()) <= NAME_LIMIT:
            raise Failed(f"'{interface}' cannot be a tap: a name has 1 to {NAME_LIMIT} characters", interface=interface)
        there = await netlink.find(interface)
        if there is not None and there.kind != "tun":
            raise Failed(f"interface {interface} is there and is no tap; remove or rename it", interface=interface)
        if there is None:
            flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR if vnet_hdr else 0)
            flags |= _IFF_MULTI_QUEUE if queues > 1 else 0
            await asyncio.to_thread(_make_persistent, interface, flags)
            there = await netlink.existing(interface)
        await netlink.change(there, address=host_side(mac))

    async def remove(self, interface: str) -> None:
        """See `Taps.remove`."""
        there = await netlink.find(interface)
        if there is not None:
            await netlink.delete(there)

    async def list(self, prefix: str) -> list[str]:
        """See `Taps.list`."""
        return sorted(
            link.name for link in await netlink.all_links() if link.kind == "tun" and link.name.startswith(prefix)
        )


def _make_persistent(interface: str, flags: int) -> None:
    try:
        handle = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Failed(f"{_DEVICE} is not there; load the kernel module (modprobe tun)", interface=interface) from None
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    except OSError as error:
        raise Failed(f"cannot make the tap {interface}: {error.strerror}", interface=interface) from error
    finally:
        os.close(handle)

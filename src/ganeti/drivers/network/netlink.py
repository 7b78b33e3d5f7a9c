"""The few questions and changes of network interfaces that drivers need, over netlink; the kernel's words in errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from ganeti.base.errors import Failed

_ENODEV: Final = 19
_VLAN_PVID: Final = 1 << 1
_VLAN_UNTAGGED: Final = 1 << 2


class Link(NamedTuple):
    """A network interface. `kind` is `bridge`, `tun`, `veth`, ... or empty for hardware. `number` is the kernel's; `master` another link's, or 0."""

    number: int
    name: str
    kind: str
    mtu: int
    address: str
    master: int
    up: bool
    vlan_filtering: bool = False


async def find(name: str) -> Link | None:
    """The interface of that name; None when there is none."""
    async with _netlink() as (ip, errors):
        try:
            answer = await ip.link("get", ifname=name)
        except errors as error:
            if error.code == _ENODEV:
                return None
            raise Failed(f"cannot look at interface {name}: {_words(error)}", interface=name) from error
        return _link(answer[0])


async def existing(name: str) -> Link:
    """The interface of that name. `Failed` when there is none."""
    link = await find(name)
    if link is None:
        raise Failed(f"there is no interface {name} on this node", interface=name)
    return link


async def all_links() -> list[Link]:
    """Every interface of this host."""
    async with _netlink() as (ip, errors):
        try:
            return [_link(message) async for message in await ip.link("dump")]
        except errors as error:
            raise Failed(f"cannot list the interfaces: {_words(error)}") from error


async def change(link: Link, **attributes: Any) -> None:
    """Set `address`, `mtu`, `master` (a link's number, 0 for none) or `state` (`up`, `down`)."""
    async with _netlink() as (ip, errors):
        try:
            await ip.link("set", index=link.number, **attributes)
        except errors as error:
            raise Failed(f"cannot change interface {link.name}: {_words(error)}", interface=link.name) from error


async def delete(link: Link) -> None:
    """Remove the interface; fine when it has gone."""
    async with _netlink() as (ip, errors):
        try:
            await ip.link("del", index=link.number)
        except errors as error:
            if error.code != _ENODEV:
                raise Failed(f"cannot remove interface {link.name}: {_words(error)}", interface=link.name) from error


async def vlan_add(link: Link, vid: int, *, untagged: bool = False) -> None:
    """Let a VLAN through a bridge port; `untagged`: it is the port's own (pvid)."""
    info: dict[str, Any] = {"vid": vid}
    if untagged:
        info["flags"] = _VLAN_PVID | _VLAN_UNTAGGED
    await _vlan("add", link, info)


async def vlan_remove(link: Link, vid: int) -> None:
    """Let a VLAN no longer through a bridge port."""
    await _vlan("del", link, {"vid": vid})


async def _vlan(command: str, link: Link, info: dict[str, Any]) -> None:
    async with _netlink() as (ip, errors):
        try:
            await ip.vlan_filter(command, index=link.number, vlan_info=info)
        except errors as error:
            deed = "let through" if command == "add" else "keep out of"
            raise Failed(
                f"cannot {deed} VLAN {info['vid']} at {link.name}: {_words(error)}", interface=link.name
            ) from error


@asynccontextmanager
async def _netlink() -> AsyncIterator[tuple[Any, Any]]:
    from pyroute2 import AsyncIPRoute  # here, because the master reads our TRAITS and needs no netlink
    from pyroute2.netlink.exceptions import NetlinkError

    async with AsyncIPRoute() as ip:
        yield ip, NetlinkError


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info is not None else None) or ""
    data = info.get_attr("IFLA_INFO_DATA") if kind == "bridge" else None
    filtering = data.get_attr("IFLA_BR_VLAN_FILTERING") if data is not None else 0
    return Link(
        number=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=kind,
        mtu=message.get_attr("IFLA_MTU") or 0,
        address=message.get_attr("IFLA_ADDRESS") or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        up=bool(message["flags"] & 1),
        vlan_filtering=bool(filtering),
    )


def _words(error: Any) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)

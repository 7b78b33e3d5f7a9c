"""NICs as they are asked for, turned into NICs as they are stored. Pure; spec: opcodes, "NIC spec"."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ganeti.base.errors import EXISTS, NO_RESOURCES, NOT_UNIQUE, WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.guest import GuestNic
from ganeti.contract.view import View
from ganeti.model import effective, names
from ganeti.model.objects import Nic, Params, Uuid
from ganeti.model.params import merged, own_values

MOST_NICS: Final = 8
KEYS: Final = ("mac", "ip", "mode", "link", "bridge", "name", "vlan", "network")
_AUTOMATIC: Final = frozenset({"auto", "generate"})


def new_nics(view: View, specs: Iterable[Mapping[str, Any]], ids: Ids) -> tuple[Nic, ...]:
    """The NICs of a new instance. `Refused` for a wrong, taken or contradictory value."""
    result: list[Nic] = []
    for index, spec in enumerate(specs):
        result.append(new_nic(view, spec, ids, index=index, taken=[nic.mac for nic in result]))
    if len(result) > MOST_NICS:
        raise Refused(WRONG_INPUT, f"an instance can have {MOST_NICS} NICs, not {len(result)}")
    check_distinct(result)
    return tuple(result)


def check_distinct(nics: Iterable[Nic]) -> None:
    """`Refused` (already_exists) when two NICs of one instance have the same address in the same network."""
    seen: set[tuple[str, str]] = set()
    for index, nic in enumerate(nics):
        key = (nic.network or "", nic.ip or "")
        if nic.ip and key in seen:
            raise Refused(EXISTS, f"NIC {index}: IP address {nic.ip} is that of another NIC of the instance", ip=nic.ip)
        seen.add(key)


def probes(view: View, specs: Iterable[Mapping[str, Any]]) -> tuple[GuestNic, ...]:
    """What a node must know to say whether it has the links that new NICs ask for."""
    result = []
    for index, spec in enumerate(specs):
        asked = {key: spec[key] for key in ("mode", "vlan") if key in spec}
        if (link := spec.get("link", spec.get("bridge"))) is not None:
            asked["link"] = link
        params = merged(effective.nic_params(view.cluster), own_values(effective.NIC, {}, asked, where=f"NIC {index}"))
        view.catalog.network(params["mode"])
        result.append(
            GuestNic(index=index, uuid="", mac="", mode=params["mode"], link=params["link"], vlan=params["vlan"])
        )
    return tuple(result)


def new_nic(view: View, spec: Mapping[str, Any], ids: Ids, *, index: int, taken: Iterable[str]) -> Nic:
    """One new NIC; `taken` are MAC addresses that the same request uses already."""
    blank = Nic(uuid=Uuid(ids.uuid()), mac="")
    return changed_nic(view, blank, {"mac": "auto", **spec}, ids, index=index, taken=taken)


def changed_nic(view: View, nic: Nic, spec: Mapping[str, Any], ids: Ids, *, index: int, taken: Iterable[str]) -> Nic:
    """A NIC after a request for change; only what `spec` names differs."""
    where = f"NIC {index}"
    for key in spec:
        if key not in KEYS:
            raise Refused(WRONG_INPUT, f"{where} has no setting '{key}'; it has {', '.join(KEYS)}", nic=index)
    if spec.get("network") not in (None, "", "none"):
        raise Refused(WRONG_INPUT, f"{where}: there is no network '{spec['network']}'", nic=index)
    asked = {key: spec[key] for key in ("mode", "link", "vlan") if key in spec}
    if "bridge" in spec:
        if asked.get("link", spec["bridge"]) != spec["bridge"]:
            raise Refused(WRONG_INPUT, f"{where}: 'bridge' is the old word for 'link'; give one of the two", nic=index)
        asked["link"] = spec["bridge"]
    own = own_values(effective.NIC, nic.nicparams, asked, where=where)
    result = msgspec.structs.replace(nic, nicparams=own)
    if "name" in spec:
        result = msgspec.structs.replace(result, name=_none_or(spec["name"]))
    if "ip" in spec:
        result = msgspec.structs.replace(result, ip=_ip(view, nic, _none_or(spec["ip"]), where))
    if "mac" in spec:
        mac = spec["mac"]
        chosen = fresh_mac(view, ids, taken) if mac in _AUTOMATIC else _given_mac(view, nic, mac, taken, where)
        result = msgspec.structs.replace(result, mac=chosen)
    _check_mode(view, result, where)
    return result


def fresh_mac(view: View, ids: Ids, taken: Iterable[str]) -> str:
    """A MAC address with the cluster's prefix that nobody uses. `Refused` when chance finds none."""
    used = set(taken)
    for _ in range(128):
        tail = ids.random_bytes(3)
        mac = f"{view.cluster.mac_prefix}:{tail[0]:02x}:{tail[1]:02x}:{tail[2]:02x}"
        if mac not in used and mac not in view.picture.macs and not view.reserved.mac(mac):
            return mac
    raise Refused(NO_RESOURCES, f"no free MAC address with prefix {view.cluster.mac_prefix} was found")


def _given_mac(view: View, nic: Nic, mac: Any, taken: Iterable[str], where: str) -> str:
    checked = names.checked_mac(str(mac))
    if checked != nic.mac and (checked in set(taken) or checked in view.picture.macs or view.reserved.mac(checked)):
        raise Refused(NOT_UNIQUE, f"{where}: MAC address {checked} is in use already", mac=checked)
    return checked


def _ip(view: View, nic: Nic, ip: str | None, where: str) -> str | None:
    if ip is None:
        return None
    if ip == "pool":
        raise Refused(WRONG_INPUT, f"{where}: ip=pool takes an address from a network, and the NIC is in none")
    try:
        text = str(ipaddress.ip_address(ip))
    except ValueError:
        raise Refused(WRONG_INPUT, f"{where}: '{ip}' is not an IP address", ip=ip) from None
    owner = view.picture.ips.get(("", text))
    if owner is not None and text != nic.ip:
        other = view.picture.instances[owner].name
        raise Refused(EXISTS, f"{where}: IP address {text} belongs to instance {other} already", ip=text)
    if view.reserved.ip("", text) and text != nic.ip:
        raise Refused(EXISTS, f"{where}: IP address {text} is about to be used by another instance", ip=text)
    return text


def _check_mode(view: View, nic: Nic, where: str) -> None:
    params: Params = merged(effective.nic_params(view.cluster), nic.nicparams)
    traits = view.catalog.network(params["mode"])
    if traits.ip_required and not nic.ip:
        raise Refused(WRONG_INPUT, f"{where}: mode {traits.mode} needs an IP address (ip=...)")
    if params["vlan"] and not traits.vlan_aware:
        raise Refused(WRONG_INPUT, f"{where}: mode {traits.mode} knows no VLANs")
    if traits.link_checked and not params["link"]:
        raise Refused(WRONG_INPUT, f"{where}: mode {traits.mode} needs link={traits.link_is}")


def _none_or(value: Any) -> str | None:
    return None if value is None or str(value).lower() in ("none", "") else str(value)

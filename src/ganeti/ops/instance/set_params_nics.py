"""The NICs of an instance after OP_INSTANCE_SET_PARAMS. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Nic
from ganeti.ops.parts import modifications, nics
from ganeti.ops.parts.modifications import Modification


class ChangedNics(msgspec.Struct, frozen=True, kw_only=True):
    """All NICs as they will be; `touched` are the new and changed ones, `result` what is told of them."""

    nics: tuple[Nic, ...]
    touched: tuple[Nic, ...]
    result: tuple[tuple[str, Any], ...]


def change(view: View, instance: Instance, requests: tuple[Modification, ...], ids: Ids) -> ChangedNics:
    """Apply the requests one after another. `Refused` for a wrong, taken or contradictory value."""
    current = list(instance.nics)
    touched: dict[str, Nic] = {}
    result: list[tuple[str, Any]] = []
    for request in requests:
        match request.verb:
            case "add":
                index = modifications.place(current, request.where, "NIC")
                nic = nics.new_nic(view, request.params, ids, index=index, taken=[other.mac for other in current])
                current.insert(index, nic)
                touched[nic.uuid] = nic
                result.append((f"nic/{index}", f"add:{_words(view, nic)}"))
            case "remove":
                index = modifications.find(current, request.where, "NIC")
                touched.pop(current.pop(index).uuid, None)
                result.append((f"nic/{index}", "remove"))
            case "modify":
                index = modifications.find(current, request.where, "NIC")
                others = [other.mac for other in current if other is not current[index]]
                nic = nics.changed_nic(view, current[index], request.params, ids, index=index, taken=others)
                current[index] = nic
                touched[nic.uuid] = nic
                result += _changes(view, nic, request, index)
    if len(current) > nics.MOST_NICS:
        raise Refused(WRONG_INPUT, f"an instance can have {nics.MOST_NICS} NICs, not {len(current)}")
    nics.check_distinct(current)
    return ChangedNics(nics=tuple(current), touched=tuple(touched.values()), result=tuple(result))


def _changes(view: View, nic: Nic, request: Modification, index: int) -> list[tuple[str, Any]]:
    values = {**effective.nic_params(view.cluster, nic), "mac": nic.mac, "ip": nic.ip, "name": nic.name}
    names = dict.fromkeys("link" if name == "bridge" else name for name in request.params)
    return [(f"nic.{name}/{index}", values.get(name)) for name in names]


def _words(view: View, nic: Nic) -> str:
    values = {**effective.nic_params(view.cluster, nic), "mac": nic.mac, "ip": nic.ip, "network": nic.network}
    return modifications.shown(values, ("mac", "ip", "mode", "link", "network"))

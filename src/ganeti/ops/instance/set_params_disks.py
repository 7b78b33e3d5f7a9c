"""The disks of an instance after OP_INSTANCE_SET_PARAMS. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.view import View
from ganeti.model.objects import Disk, Instance
from ganeti.ops.parts import disks, modifications
from ganeti.ops.parts.modifications import Modification

MODIFIABLE = ("mode", "name")


class ChangedDisks(msgspec.Struct, frozen=True, kw_only=True):
    """All disks as they will be; `added` are to be made, `removed` to be unmade; `result` is what is told of them."""

    disks: tuple[Disk, ...]
    added: tuple[Disk, ...] = ()
    removed: tuple[Disk, ...] = ()
    result: tuple[tuple[str, Any], ...] = ()


def change(
    view: View,
    instance: Instance,
    requests: tuple[Modification, ...],
    ids: Ids,
    *,
    file_storage_dir: str | None = None,
    file_driver: str | None = None,
) -> ChangedDisks:
    """Apply the requests one after another. `Refused` for a wrong or contradictory value."""
    current = list(instance.disks)
    added: dict[str, Disk] = {}
    removed: list[Disk] = []
    result: list[tuple[str, Any]] = []
    for request in requests:
        match request.verb:
            case "add":
                index = modifications.place(current, request.where, "disk")
                if len(current) >= disks.MOST_DISKS:
                    raise Refused(WRONG_INPUT, f"an instance can have {disks.MOST_DISKS} disks, not {len(current) + 1}")
                (disk,) = disks.new_disks(
                    view,
                    [request.params],
                    ids,
                    template=instance.disk_template,
                    instance_name=instance.name,
                    first_index=index,
                    file_storage_dir=file_storage_dir,
                    file_driver=file_driver,
                )
                current.insert(index, disk)
                added[disk.uuid] = disk
                result.append((f"disk/{index}", f"add:size={disk.size},mode={disk.mode}"))
            case "remove":
                index = modifications.find(current, request.where, "disk")
                disk = current.pop(index)
                if added.pop(disk.uuid, None) is None:
                    removed.append(disk)
                result.append((f"disk/{index}", "remove"))
            case "modify":
                index = modifications.find(current, request.where, "disk")
                current[index] = _modified(current[index], request, index)
                if current[index].uuid in added:
                    added[current[index].uuid] = current[index]
                result += [(f"disk.{name}/{index}", getattr(current[index], name)) for name in request.params]
    if instance.disks and not current:
        raise Refused(
            WRONG_INPUT,
            f"that would remove the last disk of instance {instance.name}, and disk template "
            f"{instance.disk_template} needs at least one",
        )
    return ChangedDisks(disks=tuple(current), added=tuple(added.values()), removed=tuple(removed), result=tuple(result))


def _modified(disk: Disk, request: Modification, index: int) -> Disk:
    for name in request.params:
        if name not in MODIFIABLE:
            raise Refused(
                WRONG_INPUT,
                f"'{name}' of disk {index} cannot be modified, only {' and '.join(MODIFIABLE)}"
                + ("; use 'gnt-instance grow-disk'" if name == "size" else ""),
                disk=index,
            )
    fields: dict[str, Any] = {}
    if "mode" in request.params:
        fields["mode"] = disks.checked_mode(request.params["mode"], f"disk {index}")
    if "name" in request.params:
        fields["name"] = disks.none_or_text(request.params["name"])
    return msgspec.structs.replace(disk, **fields)

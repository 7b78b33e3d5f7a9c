"""Disks as they are asked for, turned into disks as they are stored. Pure; spec: opcodes, "disk spec"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ganeti.base import units
from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.storage import DiskPlace
from ganeti.contract.view import View
from ganeti.model.objects import Disk, Uuid

MOST_DISKS: Final = 16
KEYS: Final = ("size", "mode", "name", "spindles")


def new_disks(
    view: View,
    specs: Iterable[Mapping[str, Any]],
    ids: Ids,
    *,
    template: str,
    instance_name: str,
    first_index: int = 0,
    file_storage_dir: str | None = None,
    file_driver: str | None = None,
) -> tuple[Disk, ...]:
    """The disks of a new instance, or further ones from `first_index` on. `Refused` for a wrong value."""
    wanted = list(specs)
    traits = view.catalog.storage(template)
    if not traits.has_disks and wanted:
        raise Refused(WRONG_INPUT, f"disk template {template} has no disks; leave the disks out or choose another")
    if traits.has_disks and not wanted and first_index == 0:
        raise Refused(WRONG_INPUT, f"disk template {template} needs at least one disk: -s SIZE or --disk 0:size=SIZE")
    if first_index + len(wanted) > MOST_DISKS:
        raise Refused(WRONG_INPUT, f"an instance can have {MOST_DISKS} disks, not {first_index + len(wanted)}")
    if (file_storage_dir or file_driver) and not traits.file_based:
        raise Refused(
            WRONG_INPUT, f"disk template {template} is not kept in files: no file directory or driver applies"
        )
    result = []
    for index, spec in enumerate(wanted, start=first_index):
        uuid = Uuid(ids.uuid())
        place = DiskPlace(
            cluster=view.cluster,
            instance_name=instance_name,
            disk_uuid=uuid,
            index=index,
            file_storage_dir=file_storage_dir,
            file_driver=file_driver or "loop",
            adopt=spec.get("adopt"),
        )
        size_mib, mode, name, spindles = checked_spec(spec, index)
        result.append(
            Disk(
                uuid=uuid,
                dev_type=template,
                size=size_mib,
                mode=mode,
                name=name,
                spindles=spindles,
                logical_id=view.addressing[template].logical_id(place),
            )
        )
    return tuple(result)


def checked_spec(spec: Mapping[str, Any], index: int) -> tuple[int, Any, str | None, int | None]:
    """(size in MiB, mode, name, spindles) of a disk specification."""
    where = f"disk {index}"
    for key in spec:
        if key not in KEYS:
            raise Refused(WRONG_INPUT, f"{where} has no setting '{key}'; it has {', '.join(KEYS)}", disk=index)
    if "size" not in spec:
        raise Refused(WRONG_INPUT, f"{where}: its size is missing (size=...)", disk=index)
    size = spec["size"]
    size_mib = size if isinstance(size, int) and not isinstance(size, bool) else units.parse_mib(str(size))
    if size_mib <= 0:
        raise Refused(WRONG_INPUT, f"{where}: a size of {size} makes no disk; it must be at least 1 MiB", disk=index)
    spindles = spec.get("spindles")
    return (
        size_mib,
        checked_mode(spec.get("mode", "rw"), where),
        none_or_text(spec.get("name")),
        _count(spindles, where),
    )


def checked_mode(mode: Any, where: str) -> Any:
    """`rw` or `ro` (r and w count as short forms)."""
    full = {"w": "rw", "r": "ro"}.get(mode, mode)
    if full not in ("rw", "ro"):
        raise Refused(WRONG_INPUT, f"{where}: access mode '{mode}' is neither rw nor ro")
    return full


def none_or_text(value: Any) -> str | None:
    """A name, or None for the word none."""
    return None if value is None or str(value).lower() in ("none", "") else str(value)


def _count(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not str(value).isdigit():
        raise Refused(WRONG_INPUT, f"{where}: '{value}' is not a number of spindles")
    return int(value)

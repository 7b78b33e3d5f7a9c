"""Disks and network interfaces as options describe them, turned into what operations take. Pure."""

from __future__ import annotations

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.cli.parse import size_mib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Described = tuple[str, "dict[str, Any] | bool | None"]

ACTIONS = ("add", "attach", "modify", "remove", "detach")
_ENDS = ("remove", "detach")


def new_nics(described: Sequence[Described]) -> list[dict[str, Any]]:
    """Interfaces of a new instance, in the order of their numbers. Nothing described: one with all defaults."""
    return _in_order("--net", described) or [{}]


def new_disks(described: Sequence[Described], os_size_mib: int | None, template: str | None) -> list[dict[str, Any]]:
    """Disks of a new instance, sizes in MiB."""
    if os_size_mib is not None:
        if described:
            raise Refused(WRONG_INPUT, "-s makes the only disk; give --disk alone for several")
        described = [("0", {"size": os_size_mib})]
    if template == "diskless":
        if described:
            raise Refused(WRONG_INPUT, "an instance with template diskless has no disks: leave -s and --disk out")
        return []
    if not described and template is not None:
        raise Refused(WRONG_INPUT, f"an instance with template {template} needs a disk: -s SIZE, or --disk 0:size=SIZE")
    return [with_size(disk, f"disk {number}") for number, disk in enumerate(_in_order("--disk", described))]


def _in_order(option: str, described: Sequence[Described]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for ident, values in described:
        if not ident.isdigit() or not isinstance(values, dict):
            raise Refused(WRONG_INPUT, f"{option} begins with a number, as in {option} 0:...; not '{ident}'")
        if int(ident) in found:
            raise Refused(WRONG_INPUT, f"{option} describes number {ident} twice")
        found[int(ident)] = values
    missing = [str(number) for number in range(len(found)) if number not in found]
    if missing:
        raise Refused(WRONG_INPUT, f"{option} counts from 0 without gaps; number {', '.join(missing)} is missing")
    return [found[number] for number in range(len(found))]


def with_size(disk: dict[str, Any], what: str) -> dict[str, Any]:
    """A new disk with its size in MiB; `what` names it in a refusal."""
    disk = dict(disk)
    if "size" in disk:
        disk["size"] = _mib(disk["size"])
    elif "adopt" not in disk:
        raise Refused(WRONG_INPUT, f"{what} needs a size")
    return _counted(disk)


def _mib(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else size_mib(str(value))


def _counted(disk: dict[str, Any]) -> dict[str, Any]:
    spindles = disk.get("spindles")
    if isinstance(spindles, str):
        if not spindles.isdigit():
            raise Refused(WRONG_INPUT, f"'{spindles}' is no number of spindles")
        disk["spindles"] = int(spindles)
    return disk


def modifications(option: str, described: Sequence[Described]) -> list[list[Any]]:
    """Changes of disks or interfaces: [action, identifier, values].

    `add`, `remove` alone mean the end (-1); `N:add,k=v`, `N:remove`, `N:k=v`, and names or UUIDs instead of N.
    """
    return [_modification(option, ident, values) for ident, values in described]


def _modification(option: str, ident: str, values: dict[str, Any] | bool | None) -> list[Any]:
    if not isinstance(values, dict):
        raise Refused(WRONG_INPUT, f"{option}: write {ident}:remove, not 'no_{ident}' or '-{ident}'")
    if ident in ACTIONS and ident != "modify":
        action, target, rest = ident, "-1", values
    else:
        asked = [each for each in ACTIONS if values.get(each) is True]
        if len(asked) > 1:
            raise Refused(WRONG_INPUT, f"{option} {ident}: {' and '.join(asked)} cannot go together")
        action, target = (asked or ["modify"])[0], ident
        rest = {key: value for key, value in values.items() if key not in asked}
    if action in _ENDS and rest:
        raise Refused(WRONG_INPUT, f"{option} {ident}: {action} takes no further values ({', '.join(rest)})")
    if action == "modify" and not rest:
        raise Refused(WRONG_INPUT, f"{option} {ident}: nothing to change is given")
    if option == "--disk":
        rest = _disk_values(action, ident, rest)
    return [action, int(target) if target.removeprefix("-").isdigit() else target, rest]


def _disk_values(action: str, ident: str, values: dict[str, Any]) -> dict[str, Any]:
    if action == "add":
        return with_size(values, f"new disk {ident}")
    if "size" in values and action != "attach":
        raise Refused(WRONG_INPUT, f"--disk {ident}: the size of a disk is changed with 'gnt-instance grow-disk'")
    return _counted(dict(values))

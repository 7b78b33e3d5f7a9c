"""The instance policy: bounds on what an instance may be, merged over levels, with every violation named.

Spec: params, "instance policy". Sizes are MiB.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.model.objects import Params

SPEC_KEYS: Final = ("cpu-count", "disk-count", "disk-size", "memory-size", "nic-count", "spindle-use")
TEMPLATES: Final = ("blockdev", "diskless", "drbd", "ext", "file", "gluster", "plain", "rbd", "sharedfile")

DEFAULTS: Final[Params] = {
    "minmax": [
        {
            "min": {
                "memory-size": 128,
                "cpu-count": 1,
                "disk-count": 1,
                "disk-size": 1024,
                "nic-count": 1,
                "spindle-use": 1,
            },
            "max": {
                "memory-size": 32768,
                "cpu-count": 8,
                "disk-count": 16,
                "disk-size": 1048576,
                "nic-count": 8,
                "spindle-use": 12,
            },
        }
    ],
    "std": {
        "memory-size": 128,
        "cpu-count": 1,
        "disk-count": 1,
        "disk-size": 1024,
        "nic-count": 1,
        "spindle-use": 1,
    },
    "disk-templates": list(TEMPLATES),
    "vcpu-ratio": 4.0,
    "spindle-ratio": 32.0,
}


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What of an instance a policy judges."""

    memory_mib: int
    vcpus: int
    disk_sizes_mib: tuple[int, ...]
    nics: int
    spindles: int
    disk_template: str


def effective(cluster: Params, group: Params | None = None) -> Params:
    """What is in force: the group's own values over the cluster's over the built-in ones."""
    return {**DEFAULTS, **cluster, **(group or {})}


def checked(policy: Params, *, group: bool = False) -> Params:
    """The policy's own values, complete and consistent, or `Refused` (wrong_input) naming what is not."""
    for key in policy:
        if key not in DEFAULTS or (group and key == "std"):
            raise _wrong(f"there is no policy setting '{key}' here")
    for pair in policy.get("minmax", []):
        if sorted(pair) != ["max", "min"]:
            raise _wrong("bounds need one 'min' and one 'max' each")
        for bound in ("min", "max"):
            _check_spec(pair[bound], f"'{bound}' bounds")
        for key in SPEC_KEYS:
            if pair["min"][key] > pair["max"][key]:
                raise _wrong(f"the lower bound of {key} ({pair['min'][key]}) is above the upper ({pair['max'][key]})")
    if "minmax" in policy and not policy["minmax"]:
        raise _wrong("at least one pair of bounds is needed")
    if "std" in policy:
        _check_spec(policy["std"], "'std'")
        bounds: list[dict[str, dict[str, int]]] = policy.get("minmax") or DEFAULTS["minmax"]
        if not any(all(b["min"][k] <= policy["std"][k] <= b["max"][k] for k in SPEC_KEYS) for b in bounds):
            raise _wrong("the standard size lies inside none of the bounds")
    for template in policy.get("disk-templates", []):
        if template not in TEMPLATES:
            raise _wrong(f"there is no disk template '{template}'")
    if "disk-templates" in policy and not policy["disk-templates"]:
        raise _wrong("at least one disk template must be allowed")
    for ratio in ("vcpu-ratio", "spindle-ratio"):
        if ratio in policy and not policy[ratio] >= 1:
            raise _wrong(f"{ratio} must be at least 1")
    return policy


def violations(policy: Params, size: Size) -> list[str]:
    """Each way in which an instance of that size breaks the effective policy, as a sentence; empty when none.

    With several pairs of bounds one that is met suffices; otherwise the violations of the closest are told.
    """
    found = []
    if size.disk_template not in policy["disk-templates"]:
        found.append(
            f"disk template {size.disk_template} is not allowed (allowed: {', '.join(policy['disk-templates'])})"
        )
    per_pair = [_outside(pair["min"], pair["max"], size) for pair in policy["minmax"]]
    return found + min(per_pair, key=len)


def _outside(low: dict[str, Any], high: dict[str, Any], size: Size) -> list[str]:
    values: list[tuple[str, str, int]] = [
        ("memory-size", "memory size", size.memory_mib),
        ("cpu-count", "number of virtual CPUs", size.vcpus),
        ("nic-count", "number of NICs", size.nics),
        ("spindle-use", "spindle use", size.spindles),
    ]
    if size.disk_template != "diskless":
        values.append(("disk-count", "number of disks", len(size.disk_sizes_mib)))
        values += [("disk-size", f"size of disk {index}", mib) for index, mib in enumerate(size.disk_sizes_mib)]
    return [
        f"{words} {value} is not between {low[key]} and {high[key]}"
        for key, words, value in values
        if not low[key] <= value <= high[key]
    ]


def _check_spec(spec: dict[str, Any], where: str) -> None:
    missing = [key for key in SPEC_KEYS if key not in spec]
    unknown = [key for key in spec if key not in SPEC_KEYS]
    if missing or unknown:
        raise _wrong(
            f"{where}: "
            + "; ".join([f"{key} is missing" for key in missing] + [f"'{key}' is not known" for key in unknown])
        )
    for key, value in spec.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(f"{where}: {key} must be a whole number, not '{value}'")


def _wrong(message: str) -> Refused:
    return Refused(WRONG_INPUT, f"instance policy: {message}")

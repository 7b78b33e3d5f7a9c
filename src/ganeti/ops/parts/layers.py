"""Own values of a level (cluster or node group) after a request: disk parameters and the instance policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ganeti.base import units
from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.view import View
from ganeti.model import policy
from ganeti.model.objects import Params
from ganeti.model.params import DEFAULT, Param, own_values, read

Nested = Mapping[str, Params]

_SIZES: Final = frozenset({"disk-size", "memory-size"})
_NUMBER: Final = Param(name="a bound", kind="int", default=0, minimum=0)


def disk_params(view: View, current: Nested, asked: Nested, *, where: str = "") -> dict[str, Params]:
    """Disk parameters by template; a template without own values is left out."""
    result = dict(current)
    for template, values in asked.items():
        traits = view.catalog.storage(template)
        result[template] = own_values(
            traits.params,
            result.get(template, {}),
            values,
            where=f"disk template {template}{f' of {where}' if where else ''}",
            cluster_level=True,
        )
    return {template: own for template, own in result.items() if own}


def instance_policy(current: Params, asked: Params, *, group: bool = False) -> Params:
    """A partial policy over the own one; `default` forgets a setting. A partial `std` is filled from the one in force."""
    result = dict(current)
    for key, value in asked.items():
        if value is None or value == DEFAULT:
            result.pop(key, None)
        elif key == "minmax":
            result[key] = [{bound: _spec(spec) for bound, spec in dict(pair).items()} for pair in value]
        elif key == "std":
            result[key] = {**policy.effective(current)["std"], **_spec(value)}
        elif key in ("vcpu-ratio", "spindle-ratio"):
            result[key] = read(Param(name=key, kind="float", default=1.0), value, where="the instance policy")
        else:
            result[key] = list(value) if isinstance(value, (list, tuple)) else value
    return policy.checked(result, group=group)


def _spec(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, Mapping):
        raise Refused(WRONG_INPUT, f"instance policy: '{spec}' is no set of bounds like {{memory-size: 128, ...}}")
    return {key: _size(key, value) for key, value in spec.items()}


def _size(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return units.parse_mib(value) if key in _SIZES else read(_NUMBER, value, where="the instance policy")
    return value

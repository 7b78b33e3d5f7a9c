"""Parameters: how one is declared, how text or JSON becomes a value of it, and how levels merge.

Levels, lowest first: built-in, cluster, OS (hypervisor parameters) or group (disk, node, policy), instance or
node. A level stores only its own values (spec: params).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from ganeti.base import units
from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Refused
from ganeti.model.objects import Params

Kind = Literal["string", "maybe-string", "bool", "int", "float", "size"]

DEFAULT: Final = "default"
"""As a value: forget the own value, inherit again."""


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of one parameter. Reference docs, completion and checks are made from it."""

    name: str
    kind: Kind
    default: Any
    summary: str = ""
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    required: bool = False
    cluster_only: bool = False
    absolute_path: bool = False


def read(param: Param, value: object, *, where: str) -> Any:
    """Turn text or JSON into a value of `param`, or raise `Refused` (wrong_input) that names it and the range.

    `where` says whose parameter it is, for instance "hypervisor kvm".
    """
    parsed = _parse(param, value, where)
    if parsed is None:
        return None
    if param.choices and parsed != "" and parsed not in param.choices:
        raise _wrong(param, value, where, f"allowed are {', '.join(param.choices)}")
    if param.required and parsed == "":
        raise _wrong(param, value, where, "it may not be empty")
    if isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
        low, high = param.minimum, param.maximum
        if (low is not None and parsed < low) or (high is not None and parsed > high):
            raise _wrong(param, value, where, f"it must be {_range_words(low, high)}")
    if param.absolute_path and isinstance(parsed, str) and parsed and not is_normal_absolute(parsed):
        raise _wrong(param, value, where, "it must be an absolute path without '..' or double slashes")
    return parsed


def own_values(
    params: Iterable[Param], current: Params, asked: Mapping[str, object], *, where: str, cluster_level: bool = False
) -> Params:
    """The own values of a level after a change.

    `default` (or null) as a value drops the own value. Raises `Refused` for an unknown name, a wrong value, or a
    parameter that only the cluster may set.
    """
    known = {param.name: param for param in params}
    result = dict(current)
    for name, value in asked.items():
        param = known.get(name)
        if param is None:
            raise Refused(
                UNKNOWN if not known else WRONG_INPUT,
                f"{where} has no parameter '{name}'; it has {', '.join(sorted(known)) or 'none'}",
                parameter=name,
            )
        if param.cluster_only and not cluster_level:
            raise Refused(WRONG_INPUT, f"parameter '{name}' of {where} can only be set for the cluster", parameter=name)
        if value == DEFAULT or (value is None and param.kind != "maybe-string"):
            result.pop(name, None)
        else:
            result[name] = read(param, value, where=where)
    return result


def defaults(params: Iterable[Param]) -> Params:
    """The built-in level."""
    return {param.name: param.default for param in params}


def merged(*levels: Mapping[str, Any]) -> Params:
    """What is in force: later levels win."""
    result: Params = {}
    for level in levels:
        result.update(level)
    return result


def is_normal_absolute(path: str) -> bool:
    """Whether `path` is absolute and has no empty, `.` or `..` part."""
    return path.startswith("/") and not any(part in {"", ".", ".."} for part in path[1:].split("/"))


_TRUE: Final = {"true", "yes", "on", "1"}
_FALSE: Final = {"false", "no", "off", "0"}
_INT: Final = re.compile(r"[+-]?\d+")


def _parse(param: Param, value: object, where: str) -> Any:
    match param.kind:
        case "bool":
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
                return value.lower() in _TRUE
            raise _wrong(param, value, where, "it is a yes/no value")
        case "int":
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, str) and _INT.fullmatch(value.strip()):
                return int(value)
            raise _wrong(param, value, where, "it is a whole number")
        case "float":
            try:
                if isinstance(value, (int, float, str)) and not isinstance(value, bool):
                    return float(value)
            except ValueError:
                pass  # said below, in the same words as for a wrong type
            raise _wrong(param, value, where, "it is a number")
        case "size":
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, str):
                return units.parse_mib(value)
            raise _wrong(param, value, where, "it is a size in MiB, or one with a suffix M, G or T")
        case "string":
            if isinstance(value, (str, int, float)) and not isinstance(value, bool):
                return str(value)
            raise _wrong(param, value, where, "it is a text")
        case "maybe-string":
            if value is None or (isinstance(value, str) and value.lower() == "none"):
                return None
            if isinstance(value, str):
                return value
            raise _wrong(param, value, where, "it is a text, or none")


def _wrong(param: Param, value: object, where: str, why: str) -> Refused:
    return Refused(
        WRONG_INPUT,
        f"'{value}' is not a value for parameter '{param.name}' of {where}: {why}",
        parameter=param.name,
        value=value,
    )


def _range_words(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"

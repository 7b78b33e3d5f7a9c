"""OS parameters after a request, texts that only the OS definition itself understands; how long its script may take. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.model.objects import Params
from ganeti.model.params import DEFAULT


def own(current: Params, asked: Mapping[str, Any] | None) -> Params:
    """The own values of a level; null or `default` as a value forgets one."""
    result = dict(current)
    for name, value in (asked or {}).items():
        if not name or "=" in name or "\0" in name:
            raise Refused(WRONG_INPUT, f"'{name}' cannot be the name of an OS parameter", parameter=name)
        if value is None or value == DEFAULT:
            result.pop(name, None)
        elif isinstance(value, (str, int, float)):
            result[name] = value if isinstance(value, str) else str(value)
        else:
            raise Refused(WRONG_INPUT, f"OS parameter '{name}' is a text", parameter=name)
    return result


def install_within_s(timeout_s: int) -> float:
    """The time limit of a create script, as asked for."""
    if timeout_s < 1:
        raise Refused(WRONG_INPUT, f"install_timeout is {timeout_s}; a create script needs a second at least")
    return float(timeout_s)

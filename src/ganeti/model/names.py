"""Names of hosts and instances: what is valid, and how a short form finds the full one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ganeti.base.errors import WRONG_INPUT, Refused

_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def checked_host(name: str, *, what: str = "name") -> str:
    """The name in lower case, or `Refused` (wrong_input) when no host or instance can be called so."""
    lower = name.strip().rstrip(".").lower()
    if len(lower) > 253 or not _HOST.fullmatch(lower):
        raise Refused(
            WRONG_INPUT,
            f"'{name}' is not a valid {what}: labels of letters, digits and hyphens, joined by dots, make one",
            name=name,
        )
    return lower


def is_fully_qualified(name: str) -> bool:
    """Whether a host name has a domain part."""
    return "." in name.strip(".")


def matching(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that `wanted` can stand for: itself, else those of which it is the leading labels."""
    lower = wanted.lower()
    found = []
    for name in names:
        if name == lower:
            return [name]
        if name.startswith(lower + "."):
            found.append(name)
    return found


def checked_mac(mac: str) -> str:
    """A MAC address in lower case, or `Refused` (wrong_input); multicast addresses are not accepted."""
    lower = mac.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(lower) or int(lower[:2], 16) & 1:
        raise Refused(WRONG_INPUT, f"'{mac}' is not the MAC address of an interface, like aa:00:00:12:34:56", mac=mac)
    return lower

"""Requests that change a list of NICs or disks: add, remove, modify, by index, name or UUID. Pure; spec: opcodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Refused

Verb = Literal["add", "remove", "modify"]
_VERBS: Final[dict[str, Verb]] = {"add": "add", "remove": "remove", "modify": "modify"}


class Named(Protocol):
    """What a modification can find: a NIC or a disk."""

    @property
    def uuid(self) -> str:
        """Its identity."""
        ...

    @property
    def name(self) -> str | None:
        """Its name, if it has one."""
        ...


N = TypeVar("N", bound=Named)


class Modification(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `where` is an index (-1: the last, or append), a name or a UUID."""

    verb: Verb
    where: int | str
    params: dict[str, Any]


def parse(requests: Sequence[Sequence[Any]], what: str) -> tuple[Modification, ...]:
    """Requests as they come: `[verb, where, params]`, or the older `[verb or index, params]`."""
    return tuple(_parse_one(request, what) for request in requests)


def _parse_one(request: Sequence[Any], what: str) -> Modification:
    match list(request):
        case [str(verb), int(where) | str(where), dict(params)]:
            pass
        case ["add" | "remove" as verb, dict(params)]:
            where = -1
        case [int(where) | str(where), dict(params)]:
            verb = "modify"
        case _:
            raise Refused(
                WRONG_INPUT, f"{list(request)} is no change of a {what}: it is [add, remove or modify, index, settings]"
            )
    if verb in ("attach", "detach"):
        raise Refused(WRONG_INPUT, f"to {verb} a {what} is not served yet")
    known = _VERBS.get(str(verb))
    if known is None:
        raise Refused(WRONG_INPUT, f"a {what} is added, removed or modified; there is no '{verb}'")
    if known == "remove" and params:
        raise Refused(WRONG_INPUT, f"to remove a {what} takes no settings, and there is {', '.join(params)}")
    index = int(where) if isinstance(where, str) and where.lstrip("-").isdigit() else where
    return Modification(verb=known, where=index, params=dict(params))


def find(items: Sequence[N], where: int | str, what: str) -> int:
    """The index that `where` means, or `Refused` (unknown_entity)."""
    if isinstance(where, int):
        index = where + len(items) if where == -1 else where
        if 0 <= index < len(items):
            return index
        raise Refused(UNKNOWN, f"there is no {what} {where}; the instance has {len(items)}, counted from 0")
    found = [index for index, item in enumerate(items) if where in (item.uuid, item.name)]
    if len(found) == 1:
        return found[0]
    cause = "has no" if not found else f"has {len(found)} of"
    raise Refused(UNKNOWN, f"the instance {cause} {what} '{where}'")


def place(items: Sequence[N], where: int | str, what: str) -> int:
    """Where a new one goes: an index up to the length, -1 to append."""
    if where == -1:
        return len(items)
    if isinstance(where, int) and 0 <= where <= len(items):
        return where
    raise Refused(WRONG_INPUT, f"a new {what} goes to an index from 0 to {len(items)}, not to '{where}'")


def only_names(modification: Modification) -> bool:
    """Whether nothing but the name changes, which no guest sees."""
    return modification.verb == "modify" and set(modification.params) <= {"name"}


def shown(params: Mapping[str, Any], keys: Sequence[str]) -> str:
    """`a=1,b=2` for a result line."""
    return ",".join(f"{key}={params[key]}" for key in keys)

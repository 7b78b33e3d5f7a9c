"""Locks as `gnt-debug locks` shows them. Spec: cli, "lock — 4 fields"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ganeti.base.errors import UNKNOWN, Refused
from ganeti.contract.view import View
from ganeti.master.queries.fields import Field, Kind, Need, by_name, chosen, natural, plain
from ganeti.master.queries.sources import LockRow, Sources


class Locks:
    """The resource `lock`."""

    default_fields = ("name", "mode", "owner", "pending")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[None, LockRow]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[LockRow]:
        """See `Resource.rows`."""
        return sorted(sources.locks(), key=_name_key)

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[LockRow]:
        """See `Resource.named`."""
        known = {row.name: row for row in sources.locks()}

        def find(name: str) -> LockRow:
            if name not in known:
                raise Refused(UNKNOWN, f"Lock '{name}' is neither held nor waited for", name=name)
            return known[name]

        return sorted({row.name: row for row in chosen(names, find, "Lock")}.values(), key=_name_key)

    async def look(self, sources: Sources, view: View, rows: Sequence[LockRow], needs: frozenset[Need]) -> None:
        """See `Resource.look`."""


def _name_key(row: LockRow) -> list[str | int]:
    return natural(row.name)


def _f(name: str, title: str, kind: Kind, doc: str, read: Callable[[LockRow], Any]) -> Field[None, LockRow]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=plain(read))


_FIELDS: Final = by_name(
    [
        _f("name", "Name", "text", "Name of the lock", lambda r: r.name),
        _f("mode", "Mode", "other", "exclusive or shared, while held", lambda r: r.mode),
        _f("owner", "Owner", "other", "Who holds it", lambda r: list(r.owner) or None),
        _f("pending", "Pending", "other", "Who waits: [mode, [owners]]", lambda r: [[m, list(w)] for m, w in r.pending] or None),
    ]
)  # fmt: skip

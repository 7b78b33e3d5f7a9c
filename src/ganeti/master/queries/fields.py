"""What a field is: name, title and kind of a column, what it must be known for it, and how it reads a row.

A resource (instances, nodes, ...) declares its fields once. A query makes a *look*: the picture, what nodes said,
and what is computed only once; `Field.column(look)` then gives the function that reads one row, so that nothing
that is the same for all rows is done for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from ganeti.base.errors import UNKNOWN, Refused
from ganeti.contract import api
from ganeti.contract.view import View
from ganeti.master.queries.sources import Sources
from ganeti.model.objects import Stored

L = TypeVar("L")
R = TypeVar("R")
S = TypeVar("S", bound=Stored)

Cell = tuple[int, Any]
"""Status and value, as in `api.QueryReply.rows`."""

Column = Callable[[R], Cell]
Kind = Literal["text", "bool", "number", "float", "unit", "timestamp", "other", "unknown"]

Need = Literal["guests", "consoles", "facts", "archive"]
"""What a field asks for beyond the configuration: guests or facts of nodes, consoles, archived jobs."""

UNKNOWN_FIELD: Final[Cell] = (api.UNKNOWN_FIELD, None)
NO_DATA: Final[Cell] = (api.NO_DATA, None)
UNAVAILABLE: Final[Cell] = (api.UNAVAILABLE, None)
OFFLINE: Final[Cell] = (api.OFFLINE, None)

MAX_NICS: Final = 8
MAX_DISKS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Field(Generic[L, R]):
    """A column of a resource. `is_host`: a filter may name its value by the leading labels (web1 for web1.example)."""

    name: str
    title: str
    kind: Kind
    doc: str
    column: Callable[[L], Column[R]]
    needs: frozenset[Need] = frozenset()
    is_host: bool = False

    @property
    def definition(self) -> api.FieldDef:
        """The field as clients see it."""
        return api.FieldDef(name=self.name, title=self.title, kind=self.kind, doc=self.doc)


class Resource(Protocol[L, R]):
    """A kind of object that can be listed."""

    @property
    def default_fields(self) -> tuple[str, ...]:
        """The columns shown when none are named."""
        ...

    @property
    def name_field(self) -> str:
        """The field that globs are compared with."""
        ...

    def fields(self, view: View) -> Mapping[str, Field[L, R]]:
        """Every field there is, by name."""
        ...

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[R]:
        """All objects, in the order of their names."""
        ...

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[R]:
        """Those of the names, in order of names, each once; `Refused` (unknown_entity) for one that is not there."""
        ...

    async def look(self, sources: Sources, view: View, rows: Sequence[R], needs: frozenset[Need]) -> L:
        """What the columns of these rows must know; asks nodes only for what is needed."""
        ...


def plain(read: Callable[[R], Any]) -> Callable[[object], Column[R]]:
    """A column whose value is read off the row alone; None is shown as unavailable."""

    def column(row: R) -> Cell:
        value = read(row)
        return UNAVAILABLE if value is None else (api.NORMAL, value)

    return lambda _look: column


def looked_up(read: Callable[[L, R], Any]) -> Callable[[L], Column[R]]:
    """A column whose value needs the look as well; None is shown as unavailable."""

    def bind(look: L) -> Column[R]:
        def column(row: R) -> Cell:
            value = read(look, row)
            return UNAVAILABLE if value is None else (api.NORMAL, value)

        return column

    return bind


def cells(read: Callable[[L, R], Cell]) -> Callable[[L], Column[R]]:
    """A column that says the status itself."""
    return lambda look: lambda row: read(look, row)


def stored_fields(*, tags: bool = True, serial: bool = True) -> list[Field[Any, Any]]:
    """The fields that every stored object has."""
    found: list[Field[Any, Any]] = [
        Field(name="uuid", title="UUID", kind="text", doc="Identity, the same for ever", column=plain(_uuid)),
        Field(name="ctime", title="CTime", kind="timestamp", doc="When it was created", column=plain(_ctime)),
        Field(name="mtime", title="MTime", kind="timestamp", doc="When it was last changed", column=plain(_mtime)),
    ]
    if serial:
        found.append(
            Field(
                name="serial_no", title="SerialNo", kind="number", doc="How often it was changed", column=plain(_serial)
            )
        )
    if tags:
        found.append(Field(name="tags", title="Tags", kind="other", doc="Tags, sorted", column=plain(_tags)))
    return found


def by_name(fields: Iterable[Field[L, R]]) -> dict[str, Field[L, R]]:
    """Fields keyed by name; two of one name are a mistake in the declaration."""
    result: dict[str, Field[L, R]] = {}
    for field in fields:
        if field.name in result:
            raise TypeError(f"two fields are called {field.name}")
        result[field.name] = field
    return result


_DIGITS: Final = re.compile(r"(\d+)")


def natural(name: str) -> list[str | int]:
    """A sort key in which instance2 comes before instance10."""
    parts: list[str | int] = _DIGITS.split(name)
    for index in range(1, len(parts), 2):
        parts[index] = int(parts[index])
    return parts


def chosen(names: Iterable[str], find: Callable[[str], R], what: str) -> list[R]:
    """The objects of the names; all that are unknown are told at once."""
    found, missing = [], []
    for name in names:
        try:
            found.append(find(name))
        except Refused as refused:
            if refused.code != UNKNOWN:
                raise
            missing.append(name)
    if missing:
        word = "name" if len(missing) == 1 else "names"
        raise Refused(UNKNOWN, f"{what} {word} {', '.join(missing)} not found", names=missing)
    return found


def each_once(objects: Iterable[S]) -> list[S]:
    """Without repeats, in the order of first appearance."""
    return list({obj.uuid: obj for obj in objects}.values())


def _uuid(row: Stored) -> str:
    return row.uuid


def _ctime(row: Stored) -> float:
    return row.ctime


def _mtime(row: Stored) -> float:
    return row.mtime


def _serial(row: Stored) -> int:
    return row.serial_no


def _tags(row: Stored) -> list[str]:
    return list(row.tags)

"""Run a list query: choose rows, ask nodes for what the columns need and no more, read the cells. Spec: opcodes, OP_QUERY."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract import api
from ganeti.contract.view import View
from ganeti.master.queries.cluster import Clusters
from ganeti.master.queries.fields import UNKNOWN_FIELD, Column, Field, Need, Resource, natural
from ganeti.master.queries.groups import Groups
from ganeti.master.queries.instances import Instances
from ganeti.master.queries.jobs import Jobs
from ganeti.master.queries.locks import Locks
from ganeti.master.queries.nodes import Nodes
from ganeti.master.queries.oses import OperatingSystems
from ganeti.master.queries.sources import Sources
from ganeti.model import filter as filters
from ganeti.model.filter import Selection, Tree

RESOURCES: Final[dict[str, Resource[Any, Any]]] = {
    "cluster": Clusters(),
    "group": Groups(),
    "instance": Instances(),
    "job": Jobs(),
    "lock": Locks(),
    "node": Nodes(),
    "os": OperatingSystems(),
}
"""What can be listed."""

_NUMBERS: Final = {"number", "float", "unit", "timestamp"}


async def run(query: api.Query, sources: Sources) -> api.QueryReply:
    """Answer a query. `Refused` for a name that is not there (unknown_entity), or a filter that is wrong.

    A field that is not there is a column of kind "unknown". An offline node is not asked: its values have status
    OFFLINE; those of a node that does not answer NO_DATA.
    """
    resource = _resource(query.what)
    view = sources.view
    known = resource.fields(view)
    names = list(resource.default_fields) if query.fields is None else query.fields
    selection = _selection(query)
    conditions = _conditions(query, selection, known)
    wanted = _needs(known, [*names, *(field for tree in conditions for field in filters.fields_of(tree))])

    rows = await _rows(resource, sources, view, selection, wanted)
    cheap = [tree for tree in conditions if not _needs(known, filters.fields_of(tree)) - {"archive"}]
    dear = [tree for tree in conditions if tree not in cheap]
    if cheap:
        rows = _filtered(rows, cheap, known, await resource.look(sources, view, rows, frozenset()))
    look = await resource.look(sources, view, rows, wanted)
    rows = _filtered(rows, dear, known, look)

    columns = [known[name].column(look) if name in known else _unknown_column for name in names]
    return api.QueryReply(
        fields=[_definition(known, name) for name in names],
        rows=[[column(row) for column in columns] for row in rows],
        revision=view.picture.revision,
    )


def fields(what: str, names: Collection[str] | None, view: View) -> list[api.FieldDef]:
    """The columns of a resource: those named (kind "unknown" for one that is not there), or all, sorted."""
    known = _resource(what).fields(view)
    return [_definition(known, name) for name in (sorted(known, key=natural) if names is None else names)]


def _resource(what: str) -> Resource[Any, Any]:
    resource = RESOURCES.get(what)
    if resource is None:
        raise Refused(WRONG_INPUT, f"'{what}' cannot be listed; what can is {', '.join(sorted(RESOURCES))}", what=what)
    return resource


def _selection(query: api.Query) -> Selection:
    if not query.arguments and query.force_filter:
        raise Refused(WRONG_INPUT, "a filter is needed as argument")
    return filters.selection(query.arguments, force_filter=query.force_filter)


async def _rows(
    resource: Resource[Any, Any], sources: Sources, view: View, selection: Selection, needs: frozenset[Need]
) -> Sequence[Any]:
    """What names and globs choose, everything otherwise; in the order of names."""
    if not selection.by_name:
        return await resource.rows(sources, view, needs)
    named = await resource.named(sources, view, selection.names) if selection.names else []
    if not selection.globs:
        return named
    everything = await resource.rows(sources, view, needs)
    patterns = [re.compile(glob) for glob in selection.globs]
    look = await resource.look(sources, view, everything, frozenset())
    name_of = resource.fields(view)[resource.name_field].column(look)
    chosen = [row for row in everything if any(pattern.search(str(name_of(row)[1])) for pattern in patterns)]
    keys = {str(name_of(row)[1]): row for row in [*named, *chosen]}
    return [keys[name] for name in sorted(keys, key=natural)]


def _conditions(query: api.Query, selection: Selection, known: Mapping[str, Field[Any, Any]]) -> list[Tree]:
    """The independent parts of the filters, after a look at fields and types."""
    trees = [selection.tree] if selection.tree is not None else []
    if query.qfilter is not None:
        trees.append(filters.checked(query.qfilter))
    conditions = [part for tree in trees for part in filters.conjuncts(tree)]
    for tree in conditions:
        for leaf in filters.leaves(tree):
            _check_leaf(leaf, known)
    return conditions


def _check_leaf(leaf: Tree, known: Mapping[str, Field[Any, Any]]) -> None:
    operator, name, *rest = leaf
    field = known.get(name)
    if field is None:
        raise Refused(WRONG_INPUT, f"filter: there is no field '{name}'; list-fields shows those there are", field=name)
    value = rest[0] if rest else None
    if operator == "=[]" and field.kind != "other":
        raise Refused(WRONG_INPUT, f"filter: {name} is not a list that something could be in", field=name)
    if operator in ("?", "=~", "=[]") or value is None or field.kind == "other":
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if field.kind in _NUMBERS and not is_number:
        raise _wrong_type(name, "a number", "write it without quotes", value)
    if field.kind == "text" and not isinstance(value, str):
        raise _wrong_type(name, "a text", "put the value in quotes", value)
    if field.kind == "bool" and not isinstance(value, bool):
        raise _wrong_type(name, "yes or no", f"write just {name}, or not {name}", value)


def _wrong_type(name: str, what: str, cure: str, value: object) -> Refused:
    return Refused(WRONG_INPUT, f"filter: {name} is {what}, {value!r} is not: {cure}", field=name, value=value)


def _needs(known: Mapping[str, Field[Any, Any]], names: Iterable[str]) -> frozenset[Need]:
    found: set[Need] = set()
    for name in names:
        if name in known:
            found |= known[name].needs
    return frozenset(found)


def _filtered(
    rows: Sequence[Any], conditions: Sequence[Tree], known: Mapping[str, Field[Any, Any]], look: object
) -> Sequence[Any]:
    def get_field(name: str) -> Callable[[Any], Any]:
        column: Column[Any] = known[name].column(look)
        return lambda row: column(row)[1]

    hosts = {name for name, field in known.items() if field.is_host}
    for tree in conditions:
        holds = filters.compile(tree, get_field, host_fields=hosts)
        rows = [row for row in rows if holds(row)]
    return rows


def _definition(known: Mapping[str, Field[Any, Any]], name: str) -> api.FieldDef:
    field = known.get(name)
    return field.definition if field is not None else api.FieldDef(name=name, title=name, kind="unknown", doc="")


def _unknown_column(_row: object) -> tuple[int, Any]:
    return UNKNOWN_FIELD

"""Fields `ndp/*`: node parameters in force, one column each; nodes and groups have them alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ganeti.contract import api
from ganeti.master.queries.fields import Cell, Column, Field, Kind
from ganeti.model import effective
from ganeti.model.objects import Params

L = TypeVar("L")
R = TypeVar("R")

_TITLES: Final = {
    "exclusive_storage": "ExclusiveStorage",
    "oob_program": "OutOfBandProgram",
    "ovs": "OpenvSwitch",
    "ovs_link": "OpenvSwitchLink",
    "ovs_name": "OpenvSwitchName",
    "spindle_count": "SpindleCount",
}
_KINDS: Final[dict[str, Kind]] = {"bool": "bool", "int": "number", "float": "float"}


def node_parameter_fields(params_of: Callable[[L], Callable[[R], Params]]) -> list[Field[L, R]]:
    """A field for each node parameter; `params_of(look)` gives what reads the parameters in force off a row."""
    return [
        Field(
            name=f"ndp/{param.name}",
            title=_TITLES.get(param.name, f"ndp/{param.name}"),
            kind=_KINDS.get(param.kind, "other"),
            doc=f"Node parameter in force: {param.summary}",
            column=_column(param.name, params_of),
        )
        for param in effective.NODE
    ]


def _column(name: str, params_of: Callable[[L], Callable[[R], Params]]) -> Callable[[L], Column[R]]:
    def bind(look: L) -> Column[R]:
        params = params_of(look)

        def column(row: R) -> Cell:
            return api.NORMAL, params(row)[name]

        return column

    return bind

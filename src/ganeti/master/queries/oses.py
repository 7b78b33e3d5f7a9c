"""OS definitions of all nodes, seen as one. Spec: cli, "os — 11 fields"; `gnt-os list`, `diagnose`, `info`.

A definition is valid when every node that answers and runs instances has it, without a problem; what it offers
(variants, API versions, parameters) is what all of them offer. Nodes that are offline or silent do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ganeti.base.errors import UNKNOWN, Refused
from ganeti.contract.calls.os import OsList
from ganeti.contract.os import OsFound
from ganeti.contract.view import View
from ganeti.master.queries.fields import Field, Kind, Need, by_name, chosen, looked_up, natural
from ganeti.master.queries.sources import Answers, Sources
from ganeti.model.objects import Uuid


@dataclass(frozen=True, kw_only=True)
class OsRow:
    """A definition: what each node that answered has of it, by node name; None where it is missing."""

    name: str
    on_nodes: dict[str, OsFound | None]

    @property
    def everywhere(self) -> list[OsFound]:
        """What nodes have that is usable."""
        return [found for found in self.on_nodes.values() if found is not None and found.valid]

    @property
    def valid(self) -> bool:
        """Whether every node can use it."""
        return len(self.everywhere) == len(self.on_nodes) > 0

    @property
    def global_status(self) -> str:
        """valid, partial (some nodes can use it) or invalid."""
        if self.valid:
            return "valid"
        return "partial" if self.everywhere else "invalid"

    @property
    def variants(self) -> list[str]:
        """Variants that every usable one has, in the order of the first."""
        return _common([found.variants for found in self.everywhere])

    @property
    def api_versions(self) -> list[int]:
        """API versions that every usable one has, ascending."""
        return sorted(_common([found.api_versions for found in self.everywhere]))

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters that every usable one has, with the description of the first."""
        names = _common([tuple(found.parameters) for found in self.everywhere])
        return {name: self.everywhere[0].parameters[name] for name in names}

    @property
    def trusted(self) -> bool:
        """Whether no node has it as untrusted."""
        return all(found is None or found.trusted for found in self.on_nodes.values())


def merged(view: View, answers: Answers[OsList]) -> list[OsRow]:
    """The definitions of all nodes that answered, in the order of their names."""
    nodes = sorted((view.picture.nodes[uuid].name, answer) for uuid, answer in _answered(view, answers).items())
    names = {found.name for _, answer in nodes for found in answer.found}
    return [
        OsRow(name=name, on_nodes={node: _first(answer, name) for node, answer in nodes})
        for name in sorted(names, key=natural)
    ]


def nodes_with_definitions(view: View) -> list[Uuid]:
    """The nodes that are asked: online, and running instances."""
    return [node.uuid for node in view.picture.nodes.values() if not node.offline and node.vm_capable]


class OperatingSystems:
    """The resource `os`."""

    default_fields = ("name", "valid", "hidden", "blacklisted", "variants")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[View, OsRow]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[OsRow]:
        """See `Resource.rows`. Asks all nodes."""
        return merged(view, await sources.os_lists(nodes_with_definitions(view)))

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[OsRow]:
        """See `Resource.named`."""
        return named(await self.rows(sources, view, frozenset()), names)

    async def look(self, sources: Sources, view: View, rows: Sequence[OsRow], needs: frozenset[Need]) -> View:
        """See `Resource.look`."""
        return view


def named(rows: Sequence[OsRow], names: Sequence[str]) -> list[OsRow]:
    """The definitions of these names, in order; a variant may be given with them. `Refused` for one that is unknown."""
    known = {row.name: row for row in rows}

    def find(name: str) -> OsRow:
        base = name.partition("+")[0]
        if base not in known:
            raise Refused(UNKNOWN, f"OS '{base}' is on no node that answers", name=name)
        return known[base]

    wanted = {row.name for row in chosen(names, find, "OS")}
    return [row for row in rows if row.name in wanted]


def _answered(view: View, answers: Answers[OsList]) -> dict[Uuid, OsList]:
    return {
        uuid: answer for uuid, answer in answers.items() if isinstance(answer, OsList) and uuid in view.picture.nodes
    }


def _first(answer: OsList, name: str) -> OsFound | None:
    return next((found for found in answer.found if found.name == name), None)


def _common(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for item in lists[0] if all(item in other for other in lists[1:])] if lists else []


def _node_status(row: OsRow) -> dict[str, list[list[Any]]]:
    """By node, what Ganeti's clients know: [[path, valid, problems, variants, parameters, API versions, trusted]]."""
    return {
        node: []
        if found is None
        else [
            [
                found.path,
                found.valid,
                ", ".join(found.problems),
                list(found.variants),
                [list(pair) for pair in found.parameters.items()],
                list(found.api_versions),
                found.trusted,
            ]
        ]
        for node, found in row.on_nodes.items()
    }


def _of_os(view: View, name: str) -> dict[str, Any]:
    own, private = view.cluster.osparams.get(name, {}), view.cluster.osparams_private_cluster.get(name, {})
    return {**own, **dict.fromkeys(private, "<redacted>")}


def _f(name: str, title: str, kind: Kind, doc: str, read: Callable[[View, OsRow], Any]) -> Field[View, OsRow]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=looked_up(read))


_FIELDS: Final = by_name(
    [
        _f("name", "Name", "text", "Name", lambda _v, r: r.name),
        _f("valid", "Valid", "bool", "Whether every node can use it", lambda _v, r: r.valid),
        _f("hidden", "Hidden", "bool", "Whether lists leave it out", lambda v, r: r.name in v.cluster.hidden_os),
        _f("blacklisted", "Blacklisted", "bool", "Whether new instances may not use it", lambda v, r: r.name in v.cluster.blacklisted_os),
        _f("variants", "Variants", "other", "Variants that every node has", lambda _v, r: r.variants),
        _f("api_versions", "ApiVersions", "other", "API versions that every node has", lambda _v, r: r.api_versions),
        _f("parameters", "Parameters", "other", "Parameters: [name, description]", lambda _v, r: [list(p) for p in r.parameters.items()]),
        _f("node_status", "NodeStatus", "other", "What each node has", lambda _v, r: _node_status(r)),
        _f("os_hvp", "OsHypervisorParams", "other", "Hypervisor parameters of its instances", lambda v, r: v.cluster.os_hvp.get(r.name, {})),
        _f("osparams", "OsParameters", "other", "OS parameters set for the cluster", lambda v, r: _of_os(v, r.name)),
        _f("trusted", "Trusted", "bool", "Whether its scripts run on the node itself", lambda _v, r: r.trusted),
    ]
)  # fmt: skip

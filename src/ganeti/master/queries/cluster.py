"""The cluster as a list of one row. Spec: cli, "cluster — 16 fields"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ganeti.base.errors import UNKNOWN, Refused
from ganeti.contract.view import View
from ganeti.master.queries.fields import Field, Kind, Need, by_name, chosen, each_once, looked_up, stored_fields
from ganeti.master.queries.sources import Software, Sources
from ganeti.model.objects import Cluster


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the columns of the cluster must know."""

    view: View
    software: Software
    queue_drained: bool
    watcher_pause: float | None


class Clusters:
    """The resource `cluster`."""

    default_fields = ("name", "master_node", "software_version")
    name_field = "name"

    def fields(self, view: View) -> Mapping[str, Field[Look, Cluster]]:
        """See `Resource.fields`."""
        return _FIELDS

    async def rows(self, sources: Sources, view: View, needs: frozenset[Need]) -> Sequence[Cluster]:
        """See `Resource.rows`."""
        return [view.cluster]

    async def named(self, sources: Sources, view: View, names: Sequence[str]) -> Sequence[Cluster]:
        """See `Resource.named`."""

        def find(name: str) -> Cluster:
            if name != view.cluster.cluster_name:
                raise Refused(UNKNOWN, f"this cluster is called {view.cluster.cluster_name}, not {name}", name=name)
            return view.cluster

        return each_once(chosen(names, find, "Cluster"))

    async def look(self, sources: Sources, view: View, rows: Sequence[Cluster], needs: frozenset[Need]) -> Look:
        """See `Resource.look`."""
        return Look(
            view=view,
            software=sources.software,
            queue_drained=sources.queue_drained,
            watcher_pause=sources.watcher_pause,
        )


def _f(name: str, title: str, kind: Kind, doc: str, read: Callable[[Look, Cluster], Any]) -> Field[Look, Cluster]:
    return Field(name=name, title=title, kind=kind, doc=doc, column=looked_up(read))


def _master(look: Look, cluster: Cluster) -> str:
    return look.view.picture.nodes[cluster.master_node].name


_FIELDS: Final = by_name(
    [
        _f("name", "Name", "text", "Name", lambda _k, c: c.cluster_name),
        _f("cluster_name", "Name", "text", "Name", lambda _k, c: c.cluster_name),
        _f("master_node", "Master", "text", "Master node", _master),
        _f("volume_group_name", "VgName", "text", "Volume group for disks", lambda _k, c: c.volume_group_name),
        _f("architecture", "ArchInfo", "other", "Word size and machine of the master", lambda k, _c: list(k.software.architecture)),
        _f("drain_flag", "QueueDrained", "bool", "Whether the job queue takes no jobs", lambda k, _c: k.queue_drained),
        _f("watcher_pause", "WatcherPause", "timestamp", "Until when the watcher rests", lambda k, _c: k.watcher_pause),
        _f("software_version", "SoftwareVersion", "text", "Version", lambda k, _c: k.software.version),
        _f("protocol_version", "ProtocolVersion", "number", "Version of node calls", lambda k, _c: k.software.protocol_version),
        _f("config_version", "ConfigVersion", "number", "Version of the stored objects", lambda k, _c: k.software.config_version),
        _f("os_api_version", "OsApiVersion", "number", "Newest OS interface", lambda k, _c: k.software.os_api_version),
        _f("export_version", "ExportVersion", "number", "Version of exports", lambda k, _c: k.software.export_version),
        _f("vcs_version", "VCSVersion", "text", "Version of the source", lambda k, _c: k.software.vcs_version),
        *(field for field in stored_fields(serial=False) if field.name != "uuid"),
    ]
)  # fmt: skip

"""Where queries get their data (`queries.sources.Sources`): the picture, the queue, the lock table, the nodes."""

from __future__ import annotations

import platform
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from ganeti.base.errors import Failed, Unavailable
from ganeti.base.paths import Paths
from ganeti.contract.calls.disk import DiskSizes, DiskSizesGet
from ganeti.contract.calls.instance import GuestStates, GuestStatesGet, InstanceConsoleGet
from ganeti.contract.calls.node import NodeFacts, NodeFactsGet, StorageAt
from ganeti.contract.calls.os import OsList, OsListGet
from ganeti.contract.guest import Console
from ganeti.contract.view import View
from ganeti.locks.manager import LockManager
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.queue import Queue
from ganeti.master.queries.sources import Answers, LockRow, Software
from ganeti.model.jobs import Job, JobId
from ganeti.model.objects import Cluster, Disk, Instance, Uuid
from ganeti.ops.parts.guests import guest_of


class ArchiveReader(Protocol):
    """The reading half of the job archive."""

    async def get(self, id: JobId) -> Job | None:
        """One archived job."""
        ...

    async def list(self, *, after_id: int = 0, limit: int = 1_000) -> tuple[Job, ...]:
        """Archived jobs in the order of their ids."""
        ...


class MasterSources:
    """What the running master can tell."""

    def __init__(
        self, *, bench: Bench, queue: Queue, locks: LockManager, archive: ArchiveReader, paths: Paths, version: str
    ) -> None:
        self._bench = bench
        self._queue = queue
        self._locks = locks
        self._archive = archive
        self.software = Software(
            version=version,
            architecture=(f"{struct.calcsize('P') * 8}bits", platform.machine()),
            os_search_path=paths.os_search_path,
        )

    @property
    def view(self) -> View:
        """See `Sources.view`."""
        return self._bench.view()

    @property
    def queue_drained(self) -> bool:
        """See `Sources.queue_drained`."""
        return self._bench.state.picture.cluster.drained

    @property
    def watcher_pause(self) -> float | None:
        """See `Sources.watcher_pause`."""
        return self._bench.state.picture.cluster.watcher_pause_until

    def jobs(self) -> Iterable[Job]:
        """See `Sources.jobs`."""
        return [tracked.with_log() for tracked in self._queue.jobs.values()]

    async def archived_jobs(self, ids: Collection[JobId] | None) -> Iterable[Job]:
        """See `Sources.archived_jobs`."""
        if ids is not None:
            found = [await self._archive.get(job) for job in ids]
            return [job for job in found if job is not None]
        jobs: list[Job] = []
        while page := await self._archive.list(after_id=jobs[-1].id if jobs else 0):
            jobs += page
        return jobs

    def locks(self) -> Iterable[LockRow]:
        """See `Sources.locks`."""
        return [
            LockRow(
                name=row.name,
                mode=row.mode,
                owner=tuple(map(str, row.owners)),
                pending=tuple((mode, tuple(map(str, owners))) for mode, owners in row.pending),
            )
            for row in self._locks.rows()
        ]

    async def live_nodes(self, nodes: Collection[Uuid]) -> Answers[NodeFacts]:
        """See `Sources.live_nodes`."""
        call = NodeFactsGet(hypervisors=self._cluster.enabled_hypervisors, storages=storages_of(self.view))
        return await self._bench.nodes.call_each(dict.fromkeys(nodes, call))

    async def live_guests(self, nodes: Collection[Uuid]) -> Answers[GuestStates]:
        """See `Sources.live_guests`."""
        call = GuestStatesGet(hypervisors=self._cluster.enabled_hypervisors)
        return await self._bench.nodes.call_each(dict.fromkeys(nodes, call))

    async def os_lists(self, nodes: Collection[Uuid]) -> Answers[OsList]:
        """See `Sources.os_lists`."""
        return await self._bench.nodes.call_each(dict.fromkeys(nodes, OsListGet()))

    async def consoles(self, instances: Sequence[Instance]) -> Answers[Console]:
        """See `Sources.consoles`."""
        answers: Answers[Console] = {}
        view = self.view
        for instance in instances:
            try:
                call = InstanceConsoleGet(guest=guest_of(view, instance))
                console = await self._bench.nodes.call(instance.primary_node, call)
                answers[instance.uuid] = console
            except (Unavailable, Failed) as error:
                answers[instance.uuid] = error
        return answers

    async def disk_sizes(self, disks: Mapping[Uuid, Sequence[Disk]]) -> Answers[DiskSizes]:
        """See `Sources.disk_sizes`."""
        return await self._bench.nodes.call_each(
            {node: DiskSizesGet(disks=tuple(wanted)) for node, wanted in disks.items()}
        )

    @property
    def _cluster(self) -> Cluster:
        return self._bench.state.picture.cluster


def storages_of(view: View) -> tuple[StorageAt, ...]:
    """The enabled templates that live somewhere on a node, and where."""
    wanted = ((name, view.addressing[name].location(view.cluster)) for name in view.cluster.enabled_disk_templates)
    return tuple(StorageAt(template=name, location=location) for name, location in wanted if location)

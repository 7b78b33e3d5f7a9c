"""What queries need to be given: the picture, jobs, locks, and ways to ask nodes. The master implements it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.disk import DiskSizes
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.calls.os import OsList
from ganeti.contract.guest import Console
from ganeti.contract.view import View
from ganeti.model.jobs import Job, JobId
from ganeti.model.objects import Disk, Instance, Uuid

T = TypeVar("T")
Answers = dict[Uuid, T | Unavailable | Failed]
"""What each node (or instance) answered; an error is an answer here."""


class LockRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held or waited for. `mode` is None while nobody holds it; jobs in the order they came."""

    name: str
    mode: str | None = None
    owner: tuple[str, ...] = ()
    pending: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here. `architecture` is word size and machine, for instance `("64bits", "x86_64")`."""

    version: str
    architecture: tuple[str, str]
    protocol_version: int = 4_000_000
    config_version: int = 4_000_000
    os_api_version: int = 20
    export_version: int = 0
    vcs_version: str = ""
    os_search_path: tuple[str, ...] = ()
    extstorage_search_path: tuple[str, ...] = ()


class Sources(Protocol):
    """Where a query gets its data. Nodes given are online ones; an answer may be missing: it counts as silence."""

    @property
    def view(self) -> View:
        """The cluster now. A query looks once and keeps it."""
        ...

    @property
    def software(self) -> Software:
        """What runs here."""
        ...

    @property
    def queue_drained(self) -> bool:
        """Whether the job queue takes no jobs."""
        ...

    @property
    def watcher_pause(self) -> float | None:
        """Until when the watcher rests, in seconds since the epoch."""
        ...

    def jobs(self) -> Iterable[Job]:
        """Every job that is not archived."""
        ...

    async def archived_jobs(self, ids: Collection[JobId] | None) -> Iterable[Job]:
        """The archived jobs with these ids that there are; all of them for None."""
        ...

    def locks(self) -> Iterable[LockRow]:
        """Locks that are held or waited for."""
        ...

    async def live_nodes(self, nodes: Collection[Uuid]) -> Answers[NodeFacts]:
        """Memory, CPUs and room: `NodeFactsGet` for the enabled hypervisors and templates."""
        ...

    async def live_guests(self, nodes: Collection[Uuid]) -> Answers[GuestStates]:
        """Guests of nodes: `GuestStatesGet` for the enabled hypervisors."""
        ...

    async def os_lists(self, nodes: Collection[Uuid]) -> Answers[OsList]:
        """OS definitions of nodes: `OsListGet`."""
        ...

    async def consoles(self, instances: Sequence[Instance]) -> Answers[Console]:
        """How to reach the consoles of running instances, by instance: `InstanceConsoleGet` on the primary node."""
        ...

    async def disk_sizes(self, disks: Mapping[Uuid, Sequence[Disk]]) -> Answers[DiskSizes]:
        """Real sizes of disks, by node: `DiskSizesGet`, in the order given."""
        ...

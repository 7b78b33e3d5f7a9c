"""Which node gets a new instance: every candidate is judged, and the judgement says why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ganeti.base.units import format_mib
from ganeti.model.objects import Uuid


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A node and what is free on it for this instance (MiB); `objections` are sentences that exclude it.

    None where a node did not say what is free (then an objection says why), or where room is not limited.
    """

    node: Uuid
    name: str
    free_memory_mib: int | None
    free_storage_mib: int | None
    objections: tuple[str, ...] = ()
    last_resort: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict: `node` is None when nobody fits; `because` has a sentence for every candidate."""

    node: Candidate | None
    because: tuple[str, ...]


def on_one_node(candidates: Iterable[Candidate], *, memory_mib: int, storage_mib: int) -> Choice:
    """The node with the most memory left after the instance; preferred groups before last resorts."""
    judged = [(candidate, _obstacles(candidate, memory_mib, storage_mib)) for candidate in candidates]
    fitting = [candidate for candidate, obstacles in judged if not obstacles]
    best = min(fitting, key=lambda c: (c.last_resort, -(c.free_memory_mib or 0), c.name), default=None)
    because = [f"{candidate.name} is excluded: {'; '.join(obstacles)}" for candidate, obstacles in judged if obstacles]
    for candidate in fitting:
        left = f"{format_mib((candidate.free_memory_mib or 0) - memory_mib)} of memory left"
        verdict = "is taken" if candidate is best else "would do too"
        because.append(f"{candidate.name} {verdict}: {left} with the instance")
    return Choice(node=best, because=tuple(because))


def _obstacles(candidate: Candidate, memory_mib: int, storage_mib: int) -> Sequence[str]:
    obstacles = list(candidate.objections)
    if candidate.free_memory_mib is not None and candidate.free_memory_mib < memory_mib:
        obstacles.append(f"{memory_mib} MiB of memory needed, {max(0, candidate.free_memory_mib)} MiB free")
    if candidate.free_storage_mib is not None and candidate.free_storage_mib < storage_mib:
        obstacles.append(f"{storage_mib} MiB of disk space needed, {max(0, candidate.free_storage_mib)} MiB free")
    return obstacles

"""What tags mean for placement: instances that avoid one another, places of nodes, permitted migrations.

Source: spec htools, "Exclusion, location, migration, desired location tags". Mind the traps: the prefix of an option
gets a colon, the one of a cluster tag for exclusion or desired location does not, and allowing migration is not transitive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ganeti.placement.text import Cluster


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """For every instance and node (by index) the tags of each kind that it has."""

    exclusion: tuple[frozenset[str], ...]
    desired_location: tuple[frozenset[str], ...]
    location: tuple[frozenset[str], ...]
    migration: tuple[frozenset[str], ...]
    receives: tuple[frozenset[str], ...]
    """Per node: the migration tags that a node may have whose instances come here."""

    def may_migrate(self, source: int, target: int) -> bool:
        """Whether a live migration between these nodes is permitted."""
        return self.migration[source] <= self.receives[target]


def read(cluster: Cluster, exclusion_options: Sequence[str] = ()) -> Meaning:
    """Apply the cluster's own tags, and `--exclusion-tags`, to nodes and instances."""
    exclusion = [*(f"{option}:" for option in exclusion_options), *_after(cluster.tags, "htools:iextags:")]
    location = [f"{name}:" for name in _after(cluster.tags, "htools:nlocation:")]
    desired = list(_after(cluster.tags, "htools:desiredlocation:"))
    migration = [f"{name}:" for name in _after(cluster.tags, "htools:migration:")]
    allowed = [
        tuple(pair.split("::")) for pair in _after(cluster.tags, "htools:allowmigration:") if pair.count("::") == 1
    ]
    own = tuple(_beginning(node.tags, migration) for node in cluster.nodes)
    return Meaning(
        exclusion=tuple(_beginning(instance.tags, exclusion) for instance in cluster.instances),
        desired_location=tuple(_beginning(instance.tags, desired) for instance in cluster.instances),
        location=tuple(_beginning(node.tags, location) for node in cluster.nodes),
        migration=own,
        receives=tuple(mine | {source for source, target in allowed if target in mine} for mine in own),
    )


def _after(tags: Iterable[str], prefix: str) -> Iterable[str]:
    return (tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix) and tag != prefix)


def _beginning(tags: Iterable[str], prefixes: Sequence[str]) -> frozenset[str]:
    return frozenset(tag for tag in tags if tag.startswith(tuple(prefixes))) if prefixes else frozenset()

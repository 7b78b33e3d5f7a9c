"""One consistent, immutable picture of the cluster at one revision, with the indexes that lookups need.

`Picture.with_changes` shares all that did not change: the cost of a change is O(log n) of the cluster, and
whoever holds an older picture keeps it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from immutables import Map

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Bug, Refused
from ganeti.model import names
from ganeti.model.objects import Cluster, Group, Instance, Node, Stored, Uuid

N = TypeVar("N", Node, Group, Instance)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """All objects, and where to find them. Only `cluster` may be absent: before the cluster is made."""

    revision: int = 0
    cluster_or_none: Cluster | None = None
    nodes: Map[Uuid, Node] = field(default_factory=Map)
    groups: Map[Uuid, Group] = field(default_factory=Map)
    instances: Map[Uuid, Instance] = field(default_factory=Map)
    node_names: Map[str, Uuid] = field(default_factory=Map)
    group_names: Map[str, Uuid] = field(default_factory=Map)
    instance_names: Map[str, Uuid] = field(default_factory=Map)
    primaries: Map[Uuid, Map[Uuid, None]] = field(default_factory=Map)
    secondaries: Map[Uuid, Map[Uuid, None]] = field(default_factory=Map)
    macs: Map[str, Uuid] = field(default_factory=Map)
    ips: Map[tuple[str, str], Uuid] = field(default_factory=Map)
    ports: Map[int, Uuid] = field(default_factory=Map)

    @property
    def cluster(self) -> Cluster:
        """The cluster's settings."""
        if self.cluster_or_none is None:
            raise Bug("the store holds no cluster")
        return self.cluster_or_none

    def node(self, name_or_uuid: str) -> Node:
        """The node of that name (short forms count), or `Refused` (unknown_entity)."""
        return _lookup(self.nodes, self.node_names, name_or_uuid, "Node")

    def group(self, name_or_uuid: str) -> Group:
        """The node group of that name, or `Refused` (unknown_entity)."""
        uuid = self.group_names.get(name_or_uuid, Uuid(name_or_uuid))
        if uuid not in self.groups:
            raise Refused(UNKNOWN, f"Node group '{name_or_uuid}' not known", name=name_or_uuid)
        return self.groups[uuid]

    def instance(self, name_or_uuid: str) -> Instance:
        """The instance of that name (short forms count), or `Refused` (unknown_entity)."""
        return _lookup(self.instances, self.instance_names, name_or_uuid, "Instance")

    def instances_on(self, node: Uuid) -> Iterator[Instance]:
        """The instances whose primary node it is."""
        return (self.instances[uuid] for uuid in self.primaries.get(node, _NOBODY))

    def instances_mirrored_to(self, node: Uuid) -> Iterator[Instance]:
        """The instances whose secondary node it is."""
        return (self.instances[uuid] for uuid in self.secondaries.get(node, _NOBODY))

    def with_changes(self, *, revision: int, put: Iterable[Stored] = (), remove: Iterable[Stored] = ()) -> Picture:
        """The picture after a commit. `remove` takes the objects as they were."""
        result = self
        for obj in remove:
            result = result._without(obj)
        for obj in put:
            result = result._with(obj)
        return replace(result, revision=revision)

    def _with(self, obj: Stored) -> Picture:
        match obj:
            case Cluster():
                return replace(self, cluster_or_none=obj)
            case Node():
                old = self.nodes.get(obj.uuid)
                base = self.node_names if old is None else self.node_names.delete(old.name)
                return replace(self, nodes=self.nodes.set(obj.uuid, obj), node_names=base.set(obj.name, obj.uuid))
            case Group():
                group = self.groups.get(obj.uuid)
                base = self.group_names if group is None else self.group_names.delete(group.name)
                return replace(self, groups=self.groups.set(obj.uuid, obj), group_names=base.set(obj.name, obj.uuid))
            case Instance():
                previous = self.instances.get(obj.uuid)
                cleared = self if previous is None else self._without(previous)
                return cleared._with_instance(obj)
            case _:
                raise Bug(f"the picture has no place for a {type(obj).__name__}")

    def _with_instance(self, new: Instance) -> Picture:
        return replace(
            self,
            instances=self.instances.set(new.uuid, new),
            instance_names=self.instance_names.set(new.name, new.uuid),
            primaries=_joined(self.primaries, (new.primary_node,), new.uuid),
            secondaries=_joined(self.secondaries, new.secondary_nodes, new.uuid),
            macs=_set_all(self.macs, ((nic.mac, new.uuid) for nic in new.nics)),
            ips=_set_all(self.ips, (((nic.network or "", nic.ip), new.uuid) for nic in new.nics if nic.ip)),
            ports=self.ports if new.network_port is None else self.ports.set(new.network_port, new.uuid),
        )

    def _without(self, obj: Stored) -> Picture:
        match obj:
            case Node():
                return replace(self, nodes=self.nodes.delete(obj.uuid), node_names=self.node_names.delete(obj.name))
            case Group():
                return replace(self, groups=self.groups.delete(obj.uuid), group_names=self.group_names.delete(obj.name))
            case Instance():
                old = self.instances[obj.uuid]
                return replace(
                    self,
                    instances=self.instances.delete(old.uuid),
                    instance_names=self.instance_names.delete(old.name),
                    primaries=_left(self.primaries, (old.primary_node,), old.uuid),
                    secondaries=_left(self.secondaries, old.secondary_nodes, old.uuid),
                    macs=_drop_all(self.macs, (nic.mac for nic in old.nics)),
                    ips=_drop_all(self.ips, ((nic.network or "", nic.ip) for nic in old.nics if nic.ip)),
                    ports=self.ports if old.network_port is None else self.ports.delete(old.network_port),
                )
            case _:
                raise Bug(f"the picture cannot lose a {type(obj).__name__}")


_NOBODY: Map[Uuid, None] = Map()
K = TypeVar("K")


def _lookup(objects: Map[Uuid, N], index: Map[str, Uuid], wanted: str, what: str) -> N:
    uuid = index.get(wanted)
    if uuid is not None:
        return objects[uuid]
    if Uuid(wanted) in objects:
        return objects[Uuid(wanted)]
    found = names.matching(wanted, index)
    if len(found) == 1:
        return objects[index[found[0]]]
    if not found:
        raise Refused(UNKNOWN, f"{what} '{wanted}' not known", name=wanted)
    raise Refused(
        WRONG_INPUT, f"{what} name '{wanted}' fits {', '.join(sorted(found)[:5])}; write more of it", name=wanted
    )


def _joined(index: Map[Uuid, Map[Uuid, None]], nodes: Iterable[Uuid], who: Uuid) -> Map[Uuid, Map[Uuid, None]]:
    for node in nodes:
        index = index.set(node, index.get(node, _NOBODY).set(who, None))
    return index


def _left(index: Map[Uuid, Map[Uuid, None]], nodes: Iterable[Uuid], who: Uuid) -> Map[Uuid, Map[Uuid, None]]:
    for node in nodes:
        index = index.set(node, index[node].delete(who))
    return index


def _set_all(index: Map[K, Uuid], pairs: Iterable[tuple[K, Uuid]]) -> Map[K, Uuid]:
    return _mutated(index, lambda m: [m.set(key, uuid) for key, uuid in pairs])


def _drop_all(index: Map[K, Uuid], keys: Iterable[K]) -> Map[K, Uuid]:
    return _mutated(index, lambda m: [m.pop(key, None) for key in keys])


def _mutated(index: Map[K, Uuid], change: Callable[[Any], object]) -> Map[K, Uuid]:
    mutation = index.mutate()
    change(mutation)
    return mutation.finish()

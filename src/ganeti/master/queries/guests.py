"""Guests of instances: where nodes say they run, what state follows, what parameters are in force. Spec: cli, status values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.guest import Console, GuestState
from ganeti.contract.view import View
from ganeti.master.queries.fields import NO_DATA, OFFLINE, UNAVAILABLE, Cell
from ganeti.master.queries.sources import Answers
from ganeti.model import effective
from ganeti.model.objects import Cluster, Instance, Params, Uuid
from ganeti.model.params import merged


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the columns of instances must know. Levels above the instance are merged once for all rows."""

    view: View
    guests: Answers[GuestStates] = field(default_factory=dict)
    consoles: Answers[Console] = field(default_factory=dict)
    by_instance: dict[Uuid, tuple[Uuid, GuestState]] = field(default_factory=dict)
    """Where a guest was found, and how; the primary node wins."""
    _hypervisor_levels: dict[tuple[str, str], Params] = field(default_factory=dict)
    _os_levels: dict[str, Params] = field(default_factory=dict)

    def hvparams(self, instance: Instance) -> Params:
        """Hypervisor parameters in force, but not those that only the cluster can set."""
        key = (instance.hypervisor, instance.os)
        level = self._hypervisor_levels.get(key)
        if level is None:
            level = self._hypervisor_levels[key] = inherited_hvparams(self.view, *key)
        return {**level, **instance.hvparams}

    def osparams(self, instance: Instance) -> Params:
        """Public OS parameters in force; private ones are shown nowhere."""
        level = self._os_levels.get(instance.os)
        if level is None:
            level = self._os_levels[instance.os] = public_osparams(self.view.cluster, instance.os)
        return {**level, **instance.osparams}

    def node_name(self, uuid: Uuid) -> str | None:
        """The name of a node."""
        node = self.view.picture.nodes.get(uuid)
        return node.name if node is not None else None

    def group_of(self, uuid: Uuid) -> tuple[str, str] | None:
        """Name and UUID of a node's group."""
        node = self.view.picture.nodes.get(uuid)
        if node is None or node.group not in self.view.picture.groups:
            return None
        return self.view.picture.groups[node.group].name, node.group

    def live(self, instance: Instance) -> GuestState | Cell:
        """The guest on its primary node, or the status of a value that cannot be known or is not there."""
        node = self.view.picture.nodes.get(instance.primary_node)
        if node is not None and node.offline:
            return OFFLINE
        if is_silent(self.guests.get(instance.primary_node), instance.hypervisor):
            return NO_DATA
        where, state = self.by_instance.get(instance.uuid, (None, None))
        return state if where == instance.primary_node and state is not None else UNAVAILABLE


def inherited_hvparams(view: View, hypervisor: str, os_name: str) -> Params:
    """What an instance inherits, without what only the cluster can set."""
    traits = view.catalog.hypervisors.get(hypervisor)
    if traits is None:
        return dict(view.cluster.hvparams.get(hypervisor, {}))
    hidden = {param.name for param in traits.params if param.cluster_only}
    level = effective.hypervisor_params(view.cluster, view.catalog, hypervisor, os_name)
    return {name: value for name, value in level.items() if name not in hidden}


def public_osparams(cluster: Cluster, os_name: str) -> Params:
    """Public OS parameters that an instance inherits."""
    return merged(cluster.osparams.get(os_name.partition("+")[0], {}), cluster.osparams.get(os_name, {}))


def is_silent(answer: GuestStates | Unavailable | Failed | None, hypervisor: str) -> bool:
    """Whether a node said nothing about guests of a hypervisor."""
    return not isinstance(answer, GuestStates) or hypervisor in answer.problems


def status(look: Look, instance: Instance) -> str:
    """The state in one word, as administrators know it."""
    node = look.view.picture.nodes.get(instance.primary_node)
    if node is not None and node.offline:
        return "ERROR_nodeoffline"
    if is_silent(look.guests.get(instance.primary_node), instance.hypervisor):
        return "ERROR_nodedown"
    where, guest = look.by_instance.get(instance.uuid, (None, None))
    if guest is not None and guest.status in ("running", "paused"):
        if where != instance.primary_node:
            return "ERROR_wrongnode"
        return "running" if instance.admin_state == "up" else "ERROR_up"
    match instance.admin_state:
        case "up":
            return "USER_down" if guest is not None and guest.status == "user-down" else "ERROR_down"
        case "down":
            return "USER_down" if instance.admin_state_source == "user" else "ADMIN_down"
        case "offline":
            return "ADMIN_offline"


def is_running(guest: GuestState) -> bool:
    """Whether a guest's CPUs and memory are in use."""
    return guest.status in ("running", "paused")


def located(
    instances: Mapping[Uuid, Instance], view: View, answers: Answers[GuestStates]
) -> dict[Uuid, tuple[Uuid, GuestState]]:
    """Where each of the instances was found. A running guest counts more than the rest, then its primary node."""
    names = view.picture.instance_names
    found: dict[Uuid, tuple[Uuid, GuestState]] = {}
    for node, answer in answers.items():
        if not isinstance(answer, GuestStates):
            continue
        for guest in answer.guests:
            uuid = Uuid(guest.uuid) if guest.uuid else names.get(guest.name)
            instance = instances.get(uuid) if uuid is not None else None
            if instance is None or instance.hypervisor != guest.hypervisor:
                continue
            known = found.get(instance.uuid)
            if known is None or _weight(instance, node, guest) > _weight(instance, *known):
                found[instance.uuid] = (node, guest)
    return found


def _weight(instance: Instance, node: Uuid, guest: GuestState) -> tuple[bool, bool]:
    return is_running(guest), node == instance.primary_node


def online_nodes_of(view: View, instances: Sequence[Instance]) -> list[Uuid]:
    """The nodes to ask about instances, in a stable order."""
    nodes: dict[Uuid, None] = {}
    for instance in instances:
        nodes[instance.primary_node] = None
        nodes.update(dict.fromkeys(instance.secondary_nodes))
    return [uuid for uuid in nodes if uuid in view.picture.nodes and not view.picture.nodes[uuid].offline]

"""The instance an operation names: finding it, locking it, and what its node says of its guest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from ganeti.base.errors import ENVIRONMENT, NO_RESOURCES, UNKNOWN, WRONG_STATE, Failed, Refused, Unavailable
from ganeti.contract.calls.instance import GuestStatesGet, InstanceCheck
from ganeti.contract.calls.node import NodeFacts, NodeFactsGet, StorageAt
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.operation import Asker, Change, Locks, OpParams
from ganeti.contract.view import View
from ganeti.model.objects import Instance, Node, changed

ALIVE: Final = frozenset({"running", "paused"})
"""States of a guest that has its disks open."""


class InstanceParams(OpParams, frozen=True, kw_only=True):
    """What every operation on one instance takes."""

    summary_field: ClassVar[str | None] = "instance_name"

    instance_name: str
    instance_uuid: str | None = None


def named(view: View, params: InstanceParams) -> Instance:
    """The instance, or `Refused` (unknown_entity) when there is none or it is not the one with that UUID."""
    instance = view.picture.instance(params.instance_name)
    if params.instance_uuid not in (None, instance.uuid):
        raise Refused(
            UNKNOWN,
            f"instance {instance.name} has UUID {instance.uuid}, not {params.instance_uuid}",
            name=instance.name,
        )
    return instance


def locks_of(instance: Instance, *, also: Iterable[str] = (), shared: bool = False) -> Locks:
    """The instance for oneself (or shared), and its nodes shared: they stay in the cluster, and their flags as they are."""
    nodes = frozenset(f"node/{uuid}" for uuid in (instance.primary_node, *instance.secondary_nodes))
    own = frozenset({f"instance/{instance.name}"})
    if shared:
        return Locks(exclusive=frozenset(also), shared=own | nodes)
    return Locks(exclusive=own | frozenset(also), shared=nodes)


def primary_of(view: View, instance: Instance) -> Node:
    """Its primary node."""
    return view.picture.nodes[instance.primary_node]


def check_reachable(view: View, instance: Instance, *, way_out: str = "") -> None:
    """`Refused` (wrong_state) when its primary node is marked offline."""
    node = primary_of(view, instance)
    if node.offline:
        raise Refused(
            WRONG_STATE, f"node {node.name}, where instance {instance.name} lives, is offline{way_out}", node=node.name
        )


def check_not_offline(instance: Instance) -> None:
    """`Refused` (wrong_state) when it was marked offline by its operator."""
    if instance.admin_state == "offline":
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is marked offline; take that back with 'gnt-instance modify --online'",
            instance=instance.name,
        )


def check_down(instance: Instance, guest: GuestState | None, deed: str, *, offline_too: bool = True) -> None:
    """`Refused` (wrong_state) unless it is marked down and nothing of it runs."""
    if instance.admin_state == "up":
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is marked to be up and must be down to {deed}; stop it first",
            instance=instance.name,
        )
    if not offline_too:
        check_not_offline(instance)
    if is_alive(guest):
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is running although marked {instance.admin_state}, and must be down to {deed}; "
            "stop it first",
            instance=instance.name,
        )


def is_alive(guest: GuestState | None) -> bool:
    """Whether a guest is there and has its disks open."""
    return guest is not None and guest.status in ALIVE


async def guest_state(ask: Asker, instance: Instance) -> GuestState | None:
    """What its primary node says of its guest; None when there is nothing of it. `Failed` when it cannot say."""
    wanted = GuestStatesGet(hypervisors=(instance.hypervisor,), name=instance.name)
    answer = await ask.call(instance.primary_node, wanted)
    if answer.problems:
        node = primary_of(ask.view, instance).name
        sentence = "; ".join(answer.problems.values())
        raise Failed(f"node {node} cannot say whether instance {instance.name} runs: {sentence}", node=node)
    return next((guest for guest in answer.guests if guest.name == instance.name), None)


async def objections_to(ask: Asker, instance: Instance, guest: Guest, *, disks_exist: bool = False) -> tuple[str, ...]:
    """What stands against the guest on its primary node."""
    answer = await ask.call(instance.primary_node, InstanceCheck(guest=guest, disks_exist=disks_exist))
    return answer.sentences


def check_objections(view: View, instance: Instance, objections: Sequence[str], deed: str) -> None:
    """`Refused` (environment_error) with all that stands against a guest on its node."""
    if objections:
        node = primary_of(view, instance).name
        raise Refused(
            ENVIRONMENT,
            f"cannot {deed} instance {instance.name} on node {node}: {'; '.join(objections)}",
            instance=instance.name,
            node=node,
        )


async def node_facts(ask: Asker, instance: Instance) -> NodeFacts:
    """Memory and storage room of its primary node, for its own hypervisor and template."""
    view = ask.view
    location = view.addressing[instance.disk_template].location(view.cluster)
    return await ask.call(
        instance.primary_node,
        NodeFactsGet(
            hypervisors=(instance.hypervisor,),
            storages=(StorageAt(template=instance.disk_template, location=location),),
        ),
    )


def check_memory(view: View, instance: Instance, facts: NodeFacts, needed_mib: int) -> None:
    """`Refused` (insufficient_resources) when its node has less memory free than that; others' reservations count."""
    host = facts.hypervisors.get(instance.hypervisor)
    node = primary_of(view, instance)
    if host is None:
        problem = facts.problems.get(instance.hypervisor, "it did not say")
        raise Unavailable(f"node {node.name} does not tell its free memory: {problem}", node=node.name)
    free_mib = host.memory_free_mib - view.reserved.memory_mib(node.uuid)
    if free_mib < needed_mib:
        raise Refused(
            NO_RESOURCES,
            f"instance {instance.name} needs {needed_mib} MiB of memory, and node {node.name} has "
            f"{max(0, free_mib)} MiB free",
            needed_mib=needed_mib,
            free_mib=free_mib,
        )


def check_room(view: View, instance: Instance, facts: NodeFacts, needed_mib: int) -> None:
    """`Refused` (insufficient_resources) when its node has less room for disks of its template than that."""
    space = facts.storages.get(instance.disk_template)
    if space is None or needed_mib <= 0:
        return  # the template itself says at the deed when it is full
    node = primary_of(view, instance)
    free_mib = space.free_mib - view.reserved.storage_mib(node.uuid, space.storage_type)
    if free_mib < needed_mib:
        raise Refused(
            NO_RESOURCES,
            f"{needed_mib} MiB of disk space are needed, and node {node.name} has {max(0, free_mib)} MiB free "
            f"in {space.name}",
            needed_mib=needed_mib,
            free_mib=free_mib,
        )


def put(instance: Instance, now_s: float, **fields: Any) -> Change:
    """The change that sets these fields; no change at all when they are so already."""
    if all(getattr(instance, name) == value for name, value in fields.items()):
        return Change()
    return Change(put=(changed(instance, now_s, **fields),))


def replaced(instance: Instance, **fields: Any) -> Instance:
    """The instance with other values, as a draft: not yet a change."""
    return msgspec.structs.replace(instance, **fields)

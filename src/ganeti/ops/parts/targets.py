"""To which node an instance goes that leaves its own: who may take it, what they say, and which one it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ganeti.base.errors import NO_RESOURCES, WRONG_INPUT, WRONG_STATE, Failed, Refused, Unavailable
from ganeti.contract.calls import Call
from ganeti.contract.calls.instance import InstanceCheck, Objections
from ganeti.contract.calls.node import NodeFacts, NodeFactsGet, StorageAt
from ganeti.contract.guest import Guest
from ganeti.contract.operation import Asker
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Node, Uuid
from ganeti.ops.parts import fitness, instances, policies
from ganeti.placement import allocate
from ganeti.placement.allocate import Choice


def refuse_allocator(iallocator: str | None) -> None:
    """`Refused` (wrong_input): placement chooses when no node is named, and programs for that are not served yet."""
    if iallocator is not None:
        raise Refused(
            WRONG_INPUT,
            "choosing an allocator program (-I) is not served yet; name the node (-n), or leave both out: then the node "
            "with the most free memory is taken",
            parameter="iallocator",
        )


def possible(view: View, instance: Instance, wanted: str | None) -> list[Node]:
    """The nodes it may go to: the one asked for, else every other one of its group that may take instances."""
    source = instances.primary_of(view, instance)
    if wanted is not None:
        node = view.picture.node(wanted)
        if node.uuid == source.uuid:
            raise Refused(WRONG_STATE, f"instance {instance.name} is on node {node.name} already", node=node.name)
        if words := obstacle(node):
            raise Refused(WRONG_STATE, f"node {node.name} {words}", node=node.name)
        return [node]
    nodes = [
        node
        for node in view.picture.nodes.values()
        if node.group == source.group and node.uuid != source.uuid and obstacle(node) is None
    ]
    if not nodes:
        group = view.picture.groups[source.group].name
        raise Refused(
            NO_RESOURCES,
            f"no other node of group {group} can take instance {instance.name}: there is none, or all are offline, "
            "drained or not vm-capable; name a node of another group with -n",
        )
    return sorted(nodes, key=lambda node: node.name)


def obstacle(node: Node) -> str | None:
    """Why a node takes no instances, as the end of a sentence."""
    if node.offline:
        return "is offline"
    if node.drained:
        return "is drained"
    return None if node.vm_capable else "is not vm-capable"


def locks_for(view: View, instance: Instance, wanted: str | None) -> set[str]:
    """Names of the nodes that are looked at: they stay as they are meanwhile."""
    return {f"node/{node.uuid}" for node in possible(view, instance, wanted)}


async def ask(
    asker: Asker,
    nodes: Iterable[Node],
    guest: Guest,
    *,
    disks_exist: bool,
    checks: Mapping[Uuid, Call[Objections]] | None = None,
) -> dict[Uuid, fitness.Fitness]:
    """What each node says: its room, and what stands against the guest there. `checks` replace the usual question."""
    view = asker.view
    uuids = [node.uuid for node in nodes]
    location = view.addressing[guest.disk_template].location(view.cluster)
    wanted = NodeFactsGet(
        hypervisors=(guest.hypervisor,), storages=(StorageAt(template=guest.disk_template, location=location),)
    )
    facts = await asker.call_each(dict.fromkeys(uuids, wanted))
    question: dict[Uuid, Call[Objections]] = dict.fromkeys(uuids, InstanceCheck(guest=guest, disks_exist=disks_exist))
    said = await asker.call_each(question | dict(checks or {}))
    return {uuid: _fitness(facts[uuid], said[uuid]) for uuid in uuids}


def _fitness(facts: NodeFacts | Unavailable | Failed, check: Objections | Unavailable | Failed) -> fitness.Fitness:
    if not isinstance(facts, NodeFacts):
        return fitness.Fitness(facts=None, objections=(facts.message,))
    said = check.sentences if isinstance(check, Objections) else (check.message,)
    return fitness.Fitness(facts=facts, objections=(*facts.problems.values(), *said))


def choose(
    view: View,
    instance: Instance,
    nodes: Iterable[Node],
    said: Mapping[Uuid, fitness.Fitness],
    *,
    memory_mib: int,
    storage_mib: int,
) -> Choice:
    """The node with the most memory left, and a sentence for each. `Choice.node` is None when none will do."""
    asked = [node for node in nodes if node.uuid in said]
    candidates = fitness.candidates(view, asked, said, hypervisor=instance.hypervisor, template=instance.disk_template)
    return allocate.on_one_node(candidates, memory_mib=memory_mib, storage_mib=storage_mib)


def no_node(instance: Instance, because: Iterable[str]) -> Refused:
    """The refusal when none will do, with what stands against each."""
    lines = list(because)
    if len(lines) == 1:
        node, _, sentence = lines[0].partition(" is excluded: ")
        return Refused(NO_RESOURCES, f"node {node} cannot take instance {instance.name}: {sentence}", node=node)
    return Refused(
        NO_RESOURCES, f"no node can take instance {instance.name}:\n" + "\n".join(f"  {line}" for line in lines)
    )


def check_policy(view: View, instance: Instance, node: Node, *, ignore: bool) -> tuple[str, ...]:
    """`Refused` when the node's group does not allow what the present one does; with `ignore` what it objects to."""
    before = effective.instance_policy(view.picture, instances.primary_of(view, instance))
    after = effective.instance_policy(view.picture, node)
    size = effective.size_of(view.cluster, instance)
    broken = policies.new_violations(before, after, size, size)
    if broken and not ignore:
        words = "; ".join(broken)
        raise Refused(
            WRONG_INPUT,
            f"instance {instance.name} would break the policy of node {node.name}: {words} (--ignore-ipolicy)",
        )
    return broken

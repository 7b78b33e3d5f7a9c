"""What nodes say about a guest that might run there, gathered for a plan and judged by placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls import Call
from ganeti.contract.calls.instance import InstanceCheck, Objections
from ganeti.contract.calls.node import NodeFacts, NodeFactsGet, StorageAt
from ganeti.contract.calls.os import OsValidate
from ganeti.contract.guest import Guest
from ganeti.contract.operation import Asker
from ganeti.contract.view import View
from ganeti.model.objects import Node, Uuid
from ganeti.placement.allocate import Candidate


class Fitness(msgspec.Struct, frozen=True, kw_only=True):
    """One node's facts, or the objection that it could not say."""

    facts: NodeFacts | None
    objections: tuple[str, ...]
    wrong_request: bool = False
    """The node has the room but refuses the request itself (an OS it does not have, a wrong parameter)."""


async def ask_nodes(
    ask: Asker,
    nodes: Iterable[Node],
    guest: Guest,
    *,
    os_name: str | None,
    os_params: Mapping[str, str],
    force_variant: bool,
) -> dict[Uuid, Fitness]:
    """Ask each node for room, for objections to the guest, and whether it has the OS (None: not asked)."""
    view = ask.view
    uuids = [node.uuid for node in nodes]
    location = view.addressing[guest.disk_template].location(view.cluster)
    wanted = NodeFactsGet(
        hypervisors=(guest.hypervisor,), storages=(StorageAt(template=guest.disk_template, location=location),)
    )
    facts = await ask.call_each(dict.fromkeys(uuids, wanted))
    checks = await ask.call_each(dict.fromkeys(uuids, InstanceCheck(guest=guest)))
    installs: Mapping[Uuid, Unavailable | Failed | None] = {}
    if os_name is not None:
        check = OsValidate(os_name=os_name, params=dict(os_params), force_variant=force_variant)
        asked: dict[Uuid, Call[None]] = dict.fromkeys(uuids, check)
        answers = await ask.call_each(asked)
        installs = answers
    return {uuid: _fitness(facts[uuid], checks[uuid], installs.get(uuid)) for uuid in uuids}


def candidates(
    view: View, nodes: Iterable[Node], fitness: Mapping[Uuid, Fitness], *, hypervisor: str, template: str
) -> list[Candidate]:
    """The nodes as placement judges them: free room less what other jobs have reserved."""
    return [_candidate(view, node, fitness[node.uuid], hypervisor, template) for node in nodes]


def _candidate(view: View, node: Node, fitness: Fitness, hypervisor: str, template: str) -> Candidate:
    memory_mib: int | None = None
    storage_mib: int | None = None
    if fitness.facts is not None:
        host = fitness.facts.hypervisors.get(hypervisor)
        memory_mib = (host.memory_free_mib if host is not None else 0) - view.reserved.memory_mib(node.uuid)
        space = fitness.facts.storages.get(template)
        if space is not None:
            storage_mib = space.free_mib - view.reserved.storage_mib(node.uuid, space.storage_type)
    return Candidate(
        node=node.uuid,
        name=node.name,
        free_memory_mib=memory_mib,
        free_storage_mib=storage_mib,
        objections=fitness.objections,
        last_resort=view.picture.groups[node.group].alloc_policy == "last_resort",
    )


def _fitness(
    facts: NodeFacts | Unavailable | Failed,
    check: Objections | Unavailable | Failed,
    install: Unavailable | Failed | None,
) -> Fitness:
    objections: list[str] = []
    if not isinstance(facts, NodeFacts):
        return Fitness(facts=None, objections=(facts.message,))
    objections += facts.problems.values()
    objections += check.sentences if isinstance(check, Objections) else [check.message]
    if isinstance(install, (Unavailable, Failed)):
        objections.append(install.message)
    code = install.facts.get("refused") if isinstance(install, Failed) else None
    return Fitness(facts=facts, objections=tuple(objections), wrong_request=code is not None)

"""OP_INSTANCE_MULTI_ALLOC: places many new instances at once and submits a job of creation for each that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ganeti.base.errors import EXISTS, NO_RESOURCES, WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.operation import Asker, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Uuid
from ganeti.ops.instance import create
from ganeti.ops.instance.create import InstanceCreateParams
from ganeti.ops.parts import disks, fitness, guests, nics
from ganeti.placement import allocate
from ganeti.placement.allocate import Candidate


class InstanceMultiAllocParams(OpParams, frozen=True, kw_only=True, tag="OP_INSTANCE_MULTI_ALLOC"):
    """Spec: opcodes, OP_INSTANCE_MULTI_ALLOC. `instances` are OP_INSTANCE_CREATE, which may hold private parameters."""

    private_fields: ClassVar[tuple[str, ...]] = ("instances",)

    opportunistic_locking: bool = False
    iallocator: str | None = None
    instances: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Refused before the job is stored, which is too late for a secret."""
        for number, given in enumerate(self.instances):
            if given.get("osparams_secret"):
                raise ValueError(
                    f"instance {given.get('instance_name', number)}: secret OS parameters would be stored with the "
                    "request for many; create that instance by itself"
                )


Facts = dict[bytes, dict[Uuid, fitness.Fitness]]
"""What the nodes say of each kind of guest: instances that differ only in name and size are asked about once."""


class InstanceMultiAllocPlan(Plan, frozen=True, kw_only=True):
    """One job for each instance that found a node, and the names of those that did not."""

    jobs: tuple[tuple[dict[str, Any], ...], ...]
    allocatable: tuple[str, ...]
    failed: tuple[str, ...]


@operation
class InstanceMultiAlloc(Operation[InstanceMultiAllocParams, Facts, InstanceMultiAllocPlan]):
    """Result: `{"jobs": [[true, id], ...], "allocatable": [names], "failed": [names]}`."""

    params = InstanceMultiAllocParams

    def locks(self, params: InstanceMultiAllocParams, view: View) -> Locks:
        """Every node that one of them may go to, shared."""
        nodes = {node.uuid for request in _requests(params) for node in create.possible_nodes(request, view)}
        return Locks(shared=frozenset(f"node/{uuid}" for uuid in nodes))

    async def survey(self, ask: Asker, params: InstanceMultiAllocParams) -> Facts:
        """Ask once for each kind of guest."""
        facts: Facts = {}
        for request in _requests(params):
            key = _kind(request, ask.view)
            if key not in facts:
                facts[key] = await create.InstanceCreate().survey(ask, request)
        return facts

    def plan(self, params: InstanceMultiAllocParams, facts: Facts, view: View, ids: Ids) -> InstanceMultiAllocPlan:
        """One after another; each counts what those before it have taken."""
        jobs, placed, failed, because = [], [], [], []
        taken = _Taken()
        for request, given in zip(_requests(params), params.instances, strict=True):
            draft = create.draft_of(request, view)
            if draft.name in placed or draft.name in failed:
                raise Refused(EXISTS, f"instance {draft.name} is asked for twice", instance=draft.name)
            nodes = create.possible_nodes(request, view)
            known = facts[_kind(request, view)]
            candidates = fitness.candidates(
                view, nodes, known, hypervisor=draft.hypervisor, template=draft.disk_template
            )
            needs = _needs(request, draft, view)
            choice = allocate.on_one_node(
                [taken.left_of(candidate) for candidate in candidates], memory_mib=needs[0], storage_mib=needs[1]
            )
            because += [f"{draft.name}: {sentence}" for sentence in choice.because]
            if choice.node is None:
                failed.append(draft.name)
                continue
            taken.add(choice.node.node, *needs)
            placed.append(draft.name)
            node = view.picture.nodes[choice.node.node]
            jobs.append(({**given, "OP_ID": "OP_INSTANCE_CREATE", "pnode": node.name, "pnode_uuid": node.uuid},))
        if failed and not placed:
            raise Refused(NO_RESOURCES, "no node can take any of the instances:\n" + "\n".join(because))
        return InstanceMultiAllocPlan(
            jobs=tuple(jobs),
            allocatable=tuple(placed),
            failed=tuple(failed),
            because=tuple(because),
            steps=tuple(f"submit a job that creates {name}" for name in placed),
            dry_result={"jobs": [], "allocatable": placed, "failed": failed},
        )

    async def run(self, ctx: Context, params: InstanceMultiAllocParams, plan: InstanceMultiAllocPlan) -> Outcome:
        """Submit them all."""
        for name in plan.failed:
            ctx.warn(f"no node can take instance {name}")
        jobs = await ctx.submit(plan.jobs)
        return Outcome(
            result={
                "jobs": [[True, job] for job in jobs],
                "allocatable": list(plan.allocatable),
                "failed": list(plan.failed),
            }
        )


class _Taken:
    """What the instances placed so far will use, in MiB by node."""

    def __init__(self) -> None:
        self._memory_mib: dict[Uuid, int] = {}
        self._storage_mib: dict[Uuid, int] = {}

    def add(self, node: Uuid, memory_mib: int, storage_mib: int) -> None:
        self._memory_mib[node] = self._memory_mib.get(node, 0) + memory_mib
        self._storage_mib[node] = self._storage_mib.get(node, 0) + storage_mib

    def left_of(self, candidate: Candidate) -> Candidate:
        return msgspec.structs.replace(
            candidate,
            free_memory_mib=_less(candidate.free_memory_mib, self._memory_mib.get(candidate.node, 0)),
            free_storage_mib=_less(candidate.free_storage_mib, self._storage_mib.get(candidate.node, 0)),
        )


def _less(free_mib: int | None, taken_mib: int) -> int | None:
    return None if free_mib is None else free_mib - taken_mib


def _requests(params: InstanceMultiAllocParams) -> list[InstanceCreateParams]:
    """The requests as they would be submitted, or `Refused` that names the one that is wrong."""
    if params.iallocator not in (None, "", ".", "hail"):
        raise Refused(WRONG_INPUT, "choosing an allocator program (-I) is not served yet", parameter="iallocator")
    if not params.instances:
        raise Refused(WRONG_INPUT, "no instances were asked for")
    return [_request(number, given) for number, given in enumerate(params.instances)]


def _request(number: int, given: Mapping[str, Any]) -> InstanceCreateParams:
    try:
        return msgspec.convert({**given, "OP_ID": "OP_INSTANCE_CREATE"}, InstanceCreateParams)
    except msgspec.ValidationError as error:
        raise Refused(WRONG_INPUT, f"instance {given.get('instance_name', number)}: {error}") from error


def _kind(request: InstanceCreateParams, view: View) -> bytes:
    """Equal for instances about which the nodes would say the same."""
    draft = create.draft_of(request, view)
    guest = guests.guest_of(
        view,
        msgspec.structs.replace(draft, name="", tags=(), primary_node=create.possible_nodes(request, view)[0].uuid),
    )
    probe = msgspec.structs.replace(guest, nics=nics.probes(view, request.nics), beparams={}, primary_node="")
    nodes = [node.uuid for node in create.possible_nodes(request, view)]
    os_name = draft.os if create.installs(request, draft) else None
    return msgspec.json.encode((probe, nodes, os_name, guests.os_params_of(view, draft), request.force_variant))


def _needs(request: InstanceCreateParams, draft: Instance, view: View) -> tuple[int, int]:
    """(memory, storage) in MiB."""
    memory_mib = effective.backend_params(view.cluster, draft.beparams)["maxmem"] if request.start else 0
    return memory_mib, sum(disks.checked_spec(spec, index)[0] for index, spec in enumerate(request.disks))

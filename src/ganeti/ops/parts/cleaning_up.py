"""Mend what a move left that nobody brought to its end: where the instance runs, and what is left elsewhere.

It runs where a guest is that is no copy. When there are only copies, the one on its primary node counts, since the
configuration names the owner; then one that was sent; then one that has arrived.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, Refused, Unavailable
from ganeti.contract.calls import Call
from ganeti.contract.calls.disk import DiskRemove, DiskSizes, DiskSizesGet
from ganeti.contract.calls.instance import GuestStates, GuestStatesGet, InstanceStop
from ganeti.contract.calls.migration import MigrationAbort, MigrationFinish, MigrationKeep, MigrationLeave
from ganeti.contract.guest import GuestState
from ganeti.contract.operation import Asker, Change, Context, Locks, Outcome, Plan
from ganeti.contract.view import View
from ganeti.model.objects import Instance, Node, Uuid, changed
from ganeti.ops.parts import guests, instances

Resume = Literal["keep", "finish"] | None


class CleanupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """By node: the guest there (None: nothing of it), what data there is in MiB, or why the node says nothing."""

    guests: dict[Uuid, GuestState | None]
    sizes_mib: dict[Uuid, tuple[int | None, ...]]
    problems: dict[Uuid, str]


class CleanupPlan(Plan, frozen=True, kw_only=True):
    """`owner` is its primary node from now on; `resume`: how the copy there goes on; `deeds` clean up elsewhere."""

    instance: Instance
    owner: Uuid
    resume: Resume
    deeds: tuple[tuple[Uuid, Call[Any]], ...]
    owed: tuple[tuple[Uuid, Call[Any]], ...]
    remarks: tuple[str, ...]


def nodes_of(view: View) -> list[Node]:
    """The nodes that may hold something of an instance."""
    return sorted((node for node in view.picture.nodes.values() if node.vm_capable), key=lambda node: node.name)


def locks_of(view: View, instance: Instance, target: str | None) -> Locks:
    """All nodes that may hold something of it stay as they are. A target makes no sense then."""
    if target is not None:
        raise Refused(WRONG_INPUT, "--cleanup finds out by itself where the instance is; leave the target node out")
    locks = instances.locks_of(instance)
    nodes = frozenset(f"node/{node.uuid}" for node in nodes_of(view))
    return msgspec.structs.replace(locks, shared=locks.shared | nodes)


async def survey(asker: Asker, instance: Instance) -> CleanupFacts:
    """Ask all nodes."""
    view = asker.view
    asked = [node.uuid for node in nodes_of(view) if not node.offline]
    problems = {node.uuid: "it is marked offline" for node in nodes_of(view) if node.offline}
    states: dict[Uuid, Call[GuestStates]] = dict.fromkeys(
        asked, GuestStatesGet(hypervisors=(instance.hypervisor,), name=instance.name)
    )
    found: dict[Uuid, GuestState | None] = {}
    for uuid, answer in (await asker.call_each(states)).items():
        if not isinstance(answer, GuestStates):
            problems[uuid] = answer.message
        elif answer.problems:
            problems[uuid] = "; ".join(answer.problems.values())
        else:
            found[uuid] = next((guest for guest in answer.guests if guest.name == instance.name), None)
    sizes_mib: dict[Uuid, tuple[int | None, ...]] = {}
    if instance.disks and view.catalog.storage(instance.disk_template).mirrored == "none":
        sizes: dict[Uuid, Call[DiskSizes]] = dict.fromkeys(found, DiskSizesGet(disks=instance.disks))
        answers = await asker.call_each(sizes)
        sizes_mib = {uuid: each.sizes_mib for uuid, each in answers.items() if isinstance(each, DiskSizes)}
    return CleanupFacts(guests=found, sizes_mib=sizes_mib, problems=problems)


def plan(view: View, instance: Instance, facts: CleanupFacts) -> CleanupPlan:
    """Find the owner. `Refused` when the instance runs twice: only its operator knows which one is to stay."""
    names = {uuid: node.name for uuid, node in view.picture.nodes.items()}
    owner, resume, why = _owner(view, instance, facts, names)
    guest = guests.guest_of(view, instance)
    deeds: list[tuple[Uuid, Call[Any]]] = []
    steps: list[str] = []
    remarks: list[str] = []
    for uuid, state in facts.guests.items():
        if uuid == owner or state is None:
            continue
        if state.migration in ("incoming", "arrived"):
            deeds.append((uuid, MigrationAbort(guest=guest)))
        elif state.migration == "sent":
            deeds.append((uuid, MigrationLeave(guest=guest)))
        elif not instances.is_alive(state):
            deeds.append((uuid, InstanceStop(guest=guest, force=True)))
        steps.append(f"take away what is left of {instance.name} on {names[uuid]}")
    whole = all(size is not None for size in facts.sizes_mib.get(owner, (None,)))
    for uuid, sizes in facts.sizes_mib.items():
        if uuid == owner or all(size is None for size in sizes):
            continue
        if not whole:
            remarks.append(f"data of its disks on node {names[uuid]} stays: node {names[owner]} has not all of them")
            continue
        deeds += [(uuid, DiskRemove(disk=disk)) for disk in instance.disks]
        steps.append(f"remove the copies of its disks on {names[uuid]}")
    if resume is not None:
        steps.insert(0, f"let the copy on {names[owner]} go on")
    if owner != instance.primary_node:
        steps.insert(0, f"make {names[owner]} its primary node")
    remarks += [f"node {names[uuid]} was not asked: {words}" for uuid, words in facts.problems.items()]
    owed: tuple[tuple[Uuid, Call[Any]], ...] = ()
    if owner != instance.primary_node and instance.primary_node in facts.problems:
        owed = ((instance.primary_node, InstanceStop(guest=guest, force=True)),)
    return CleanupPlan(
        instance=instance,
        owner=owner,
        resume=resume,
        deeds=tuple(deeds),
        owed=owed,
        remarks=tuple(remarks),
        because=(why,),
        steps=tuple(steps) or ("nothing: all is as it should be",),
        dry_result=[names[owner]],
    )


def _owner(view: View, instance: Instance, facts: CleanupFacts, names: dict[Uuid, str]) -> tuple[Uuid, Resume, str]:
    alive = {uuid: state for uuid, state in facts.guests.items() if state is not None and instances.is_alive(state)}
    running = [uuid for uuid, state in alive.items() if not state.migration]
    primary = instance.primary_node
    if len(running) > 1:
        where = " and ".join(names[uuid] for uuid in running)
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} runs on {where} at once; decide which one is to stay, and end the other on its node: "
            "find its QEMU by its name and stop it, then give --cleanup again",
            instance=instance.name,
        )
    if running:
        return running[0], None, f"instance {instance.name} runs on node {names[running[0]]}"
    if primary in facts.problems and not view.picture.nodes[primary].offline:
        raise Unavailable(
            f"node {names[primary]}, which owns instance {instance.name}, does not say whether it runs there: "
            f"{facts.problems[primary]}; if that host is really dead, mark it offline ('gnt-node modify --offline yes "
            f"{names[primary]}') and try again",
            node=names[primary],
        )
    kinds = {uuid: state.migration for uuid, state in alive.items()}
    if kinds.get(primary) == "sent":
        return primary, "keep", f"its copy on node {names[primary]} was never replaced"
    if kinds.get(primary) == "arrived":
        return primary, "finish", f"it has arrived on node {names[primary]}, which owns it"
    for uuid in (uuid for uuid, kind in kinds.items() if kind == "sent"):
        return uuid, "keep", f"node {names[uuid]} still holds it as it was sent"
    for uuid in (uuid for uuid, kind in kinds.items() if kind == "arrived"):
        return uuid, "finish", f"it has arrived on node {names[uuid]} with all its memory"
    return primary, None, f"instance {instance.name} runs nowhere; node {names[primary]} owns it"


async def run(ctx: Context, plan: CleanupPlan) -> Outcome:
    """The owner first, then its copy goes on, then the rest is taken away."""
    instance = plan.instance
    nodes = ctx.view.picture.nodes
    for remark in plan.remarks:
        ctx.warn(remark)
    for reason in plan.because:
        ctx.say(f"* {reason}")
    guest = guests.guest_of(ctx.view, instance)
    if plan.owner != instance.primary_node:
        ctx.say(f"* {nodes[plan.owner].name} becomes its primary node")
        moved = changed(instance, ctx.clock.now_s(), primary_node=plan.owner)
        await ctx.commit(Change(put=(moved,)), then=plan.owed)
    if plan.resume == "keep":
        await ctx.call(plan.owner, MigrationKeep(guest=guest))
    elif plan.resume == "finish":
        await ctx.call(plan.owner, MigrationFinish(guest=guest))
    owed: list[tuple[Uuid, Call[Any]]] = []
    for node, call in plan.deeds:
        try:
            await ctx.call(node, call)
        except (Failed, Refused, Unavailable) as error:
            ctx.warn(f"node {nodes[node].name}: {error.message}; it is done when the node answers again")
            owed.insert(0, (node, call))
    for step in plan.steps:
        ctx.say(f"* {step}")
    return Outcome(owed=(*plan.owed, *owed))

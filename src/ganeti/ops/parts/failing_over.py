"""Failing over: an instance ends on one node and begins on another that sees the same data.

At every moment one node is the rightful owner: the primary of the configuration. It changes between the stop and the
start, so a master that dies in between leaves an instance that is down where it belongs, and is started there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ganeti.base.errors import WRONG_INPUT, Failed, GanetiError, Refused, Unavailable
from ganeti.contract.calls import Call
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.operation import Asker, Change, Context, Outcome, Plan
from ganeti.contract.reservation import NOTHING, Reservation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Node, Uuid, changed
from ganeti.ops.parts import fitness, guests, instances, targets


class FailoverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the source says of the guest (`problem`: why it says nothing), and what the possible targets say."""

    guest: GuestState | None
    problem: str | None
    said: dict[Uuid, fitness.Fitness]


class FailoverPlan(Plan, frozen=True, kw_only=True):
    """`stop`: the source is asked to end it; `tolerant`: and may fail to. `start`: it shall run on the target."""

    instance: Instance
    target: Uuid
    stop: bool
    tolerant: bool
    start: bool
    remarks: tuple[str, ...] = ()


def check_template(view: View, instance: Instance) -> None:
    """`Refused` (wrong_input) when the data is on one node only, with the ways there are."""
    if view.catalog.storage(instance.disk_template).mirrored == "none":
        source = instances.primary_of(view, instance).name
        raise Refused(
            WRONG_INPUT,
            f"the disks of instance {instance.name} (template {instance.disk_template}) are on node {source} only, so it "
            f"cannot fail over; while {source} is up, 'gnt-instance migrate' takes it away running, and 'gnt-instance "
            "move' stopped, disks and all",
            disk_template=instance.disk_template,
        )


async def survey(asker: Asker, instance: Instance, wanted: str | None) -> FailoverFacts:
    """Ask the possible targets, and the source unless it is marked offline."""
    view = asker.view
    check_template(view, instance)
    nodes = targets.possible(view, instance, wanted)
    state, problem = None, None
    if instances.primary_of(view, instance).offline:
        problem = "it is marked offline"
    else:
        try:
            state = await instances.guest_state(asker, instance)
        except (Unavailable, Failed) as error:
            problem = error.message
    said = await targets.ask(asker, nodes, guests.guest_of(view, instance), disks_exist=True)
    return FailoverFacts(guest=state, problem=problem, said=said)


def plan(
    view: View,
    instance: Instance,
    facts: FailoverFacts,
    wanted: str | None,
    *,
    ignore_consistency: bool,
    ignore_ipolicy: bool,
    timeout_s: int,
) -> FailoverPlan:
    """Choose the target; refuse while nobody can say that the guest has ended on the source."""
    source = instances.primary_of(view, instance)
    if facts.problem is not None and not source.offline and not ignore_consistency:
        raise Unavailable(
            f"node {source.name} cannot end instance {instance.name}: {facts.problem}; if that host is really dead, mark "
            f"it offline ('gnt-node modify --offline yes {source.name}') or give --ignore-consistency: an instance that "
            "runs twice ruins its data",
            node=source.name,
        )
    start = instance.admin_state == "up"
    memory_mib = effective.backend_params(view.cluster, instance.beparams)["maxmem"] if start else 0
    nodes = targets.possible(view, instance, wanted)
    choice = targets.choose(view, instance, nodes, facts.said, memory_mib=memory_mib, storage_mib=0)
    if choice.node is None:
        raise targets.no_node(instance, choice.because)
    target = view.picture.nodes[choice.node.node]
    broken = targets.check_policy(view, instance, target, ignore=ignore_ipolicy)
    stop = facts.problem is None or not source.offline
    steps = [f"stop instance {instance.name} on {source.name} within {timeout_s} s"] if stop else []
    steps.append(f"make {target.name} the primary node of {instance.name}")
    if start:
        steps.append(f"start it on {target.name}")
    return FailoverPlan(
        instance=instance,
        target=target.uuid,
        stop=stop,
        tolerant=ignore_consistency,
        start=start,
        remarks=tuple(f"the instance policy is broken: {words}" for words in broken),
        reserve=Reservation(memory_mib={target.uuid: memory_mib}) if memory_mib else NOTHING,
        because=choice.because,
        steps=tuple(steps),
        dry_result=[target.name],
    )


async def run(ctx: Context, plan: FailoverPlan, *, timeout_s: int) -> Outcome:
    """Stop, change the owner, start. What a dead source could not be told is its debt: it obeys before anything else."""
    instance = plan.instance
    source, target = (ctx.view.picture.nodes[uuid] for uuid in (instance.primary_node, plan.target))
    guest = guests.guest_of(ctx.view, instance)
    for remark in plan.remarks:
        ctx.warn(remark)
    owed: tuple[tuple[Uuid, Call[Any]], ...] = ((source.uuid, InstanceStop(guest=guest, force=True)),)
    if plan.stop:
        if await _stop(ctx, plan, guest, source, timeout_s=timeout_s):
            owed = ()
    else:
        ctx.warn(
            f"node {source.name} is offline: what it still holds of instance {instance.name} ends when it comes back"
        )
    moved = changed(instance, ctx.clock.now_s(), primary_node=target.uuid)
    # The debt is written with the change of the owner: from here on the old one must not run it.
    await ctx.commit(Change(put=(moved,)), then=owed)
    if plan.start:
        ctx.say(f"* activating the instance's disks and starting it on target node {target.name}")
        await start(ctx, moved, source, target, can_go_back=not owed)
    return Outcome(owed=owed)


async def _stop(ctx: Context, plan: FailoverPlan, guest: Guest, source: Node, *, timeout_s: int) -> bool:
    """Whether the guest has ended on the source for sure."""
    ctx.say(f"* shutting down instance {guest.name} on source node {source.name}")
    try:
        await ctx.call(source.uuid, InstanceStop(guest=guest, within_s=timeout_s, force=timeout_s <= 0))
    except (Failed, Refused, Unavailable) as error:
        if not plan.tolerant:
            raise Failed(
                f"instance {guest.name} stays on node {source.name}, which could not end it: {error.message}; if that host "
                "is really dead, mark it offline, or give --ignore-consistency",
                **error.facts,
            ) from error
        ctx.warn(f"could not shut down instance {guest.name} on node {source.name}: {error.message}; going on as asked")
        return False
    return True


async def start(
    ctx: Context,
    moved: Instance,
    source: Node,
    target: Node,
    *,
    can_go_back: bool,
    going_back: Sequence[tuple[Uuid, Call[Any]]] = (),
) -> None:
    """Start it where it belongs now. A clear no of the target brings it back to the source, when that is alive.

    `going_back` is then done besides.
    """
    try:
        await ctx.call(target.uuid, InstanceStart(guest=guests.guest_of(ctx.view, moved)))
    except Unavailable as error:
        raise Failed(
            f"instance {moved.name} belongs to node {target.name} now, but whether it was started there is not known: "
            f"{error.message}; 'gnt-instance startup {moved.name}' starts it when the node answers again",
            **error.facts,
        ) from error
    except (Failed, Refused) as error:
        if not can_go_back:
            raise Failed(
                f"instance {moved.name} belongs to node {target.name} now, but could not be started there: "
                f"{error.message}; mend that and give 'gnt-instance startup {moved.name}'",
                **error.facts,
            ) from error
        raise await _back(ctx, moved, source, target, error, going_back) from error


async def _back(
    ctx: Context,
    moved: Instance,
    source: Node,
    target: Node,
    cause: GanetiError,
    besides: Sequence[tuple[Uuid, Call[Any]]],
) -> Failed:
    ctx.warn(f"could not start instance {moved.name} on node {target.name}: {cause.message}")
    ctx.say(f"* going back to node {source.name}")
    back = changed(moved, ctx.clock.now_s(), primary_node=source.uuid)
    await ctx.commit(Change(put=(back,)), then=besides)
    try:
        await ctx.call(source.uuid, InstanceStart(guest=guests.guest_of(ctx.view, back)))
    except (Failed, Refused, Unavailable) as error:
        return Failed(
            f"cannot start instance {moved.name} on node {target.name}: {cause.message}; and not on {source.name} again, "
            f"to which it belongs: {error.message}",
            **cause.facts,
        )
    return Failed(
        f"cannot start instance {moved.name} on node {target.name}: {cause.message}; it runs on node {source.name} again",
        **cause.facts,
    )

"""Moving an instance while it runs: checks, the course of it, and what happens when a node falls out on the way.

One node owns the guest at every moment: the primary of the configuration. Until the commit the source has everything
and the target may not run it; after it the target has everything, and the source is cleaned. What is not done by then is
on the undo list, or a debt of its node, so that a master that dies leaves nothing that the next one would not mend.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.retry import attempts
from ganeti.base.units import format_mib
from ganeti.contract.calls import Call
from ganeti.contract.calls.disk import DiskCreate, DiskRemove
from ganeti.contract.calls.instance import GuestStatesGet, InstanceBalloon, Objections
from ganeti.contract.calls.migration import (
    MigrationAbort,
    MigrationCheck,
    MigrationFinish,
    MigrationKeep,
    MigrationLeave,
    MigrationReceive,
    MigrationSend,
    MigrationSwitch,
    MigrationWatch,
    MovingGet,
)
from ganeti.contract.guest import Guest, GuestState
from ganeti.contract.migration import Moving, Pace, Progress
from ganeti.contract.operation import Asker, Change, Context, Outcome, Plan
from ganeti.contract.reservation import Reservation
from ganeti.contract.storage import Owner
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Node, Uuid, changed
from ganeti.ops.parts import fitness, guests, instances, targets

POSTCOPY: Final = "postcopy-ram"
POSTCOPY_AFTER_ROUNDS: Final = 2
BALLOON_LIMIT_S: Final = 30.0
STALL_S: Final = 15.0
"""The guest's writes wait for the target while its disks are copied, so a network that is cut must be noticed soon."""

_LOOK_S: Final = 1.0
_LINES_EACH_LOOK: Final = 60
_THEN_EVERY: Final = 10
_MIB: Final = 2**20

Owed = tuple[tuple[Uuid, Call[Any]], ...]


class MigrationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The guest on its source (`moving` is None when it does not run), and what the possible targets say."""

    guest: GuestState | None
    moving: Moving | None
    said: dict[Uuid, fitness.Fitness]


class MigrationPlan(Plan, frozen=True, kw_only=True):
    """`balloon_mib`: what its memory is brought down to before; `copies`: its disks go with it."""

    instance: Instance
    moving: Moving
    target: Uuid
    pace: Pace
    copies: bool
    balloon_mib: int | None
    remarks: tuple[str, ...] = ()


async def survey(asker: Asker, instance: Instance, wanted: str | None, *, ignore_version: bool) -> MigrationFacts:
    """How it runs, and what stands against it elsewhere."""
    view = asker.view
    copies = _copies(view, instance)
    instances.check_reachable(view, instance, way_out="; 'gnt-instance failover' starts it elsewhere")
    nodes = targets.possible(view, instance, wanted)
    state = await instances.guest_state(asker, instance)
    if not instances.is_alive(state):
        return MigrationFacts(guest=state, moving=None, said={})
    moving = await asker.call(instance.primary_node, MovingGet(guest=guests.guest_of(view, instance)))
    check = MigrationCheck(moving=moving, disks_exist=not copies, ignore_version=ignore_version)
    checks: dict[Uuid, Call[Objections]] = dict.fromkeys((node.uuid for node in nodes), check)
    said = await targets.ask(asker, nodes, moving.guest, disks_exist=False, checks=checks)
    return MigrationFacts(guest=state, moving=moving, said=said)


def plan(
    view: View,
    instance: Instance,
    facts: MigrationFacts,
    wanted: str | None,
    *,
    mode: str | None,
    allow_runtime_changes: bool,
    ignore_ipolicy: bool,
) -> MigrationPlan:
    """Choose the target and the way."""
    moving = facts.moving
    if moving is None:
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} does not run, so there is nothing to migrate; 'gnt-instance failover' (or "
            "--allow-failover) gives it another node, 'gnt-instance move' takes its disks along",
            instance=instance.name,
        )
    copies = _copies(view, instance) and bool(instance.disks)
    if {disk.uuid for disk in moving.guest.disks} != {disk.uuid for disk in instance.disks}:
        raise Refused(
            WRONG_STATE,
            f"the disks of instance {instance.name} were changed after its start; restart it first ('gnt-instance reboot')",
        )
    storage_mib = sum(disk.size for disk in instance.disks) if copies else 0
    nodes = targets.possible(view, instance, wanted)
    balloon_mib: int | None = None
    choice = targets.choose(view, instance, nodes, facts.said, memory_mib=moving.memory_mib, storage_mib=storage_mib)
    least_mib = min(moving.guest.minmem_mib, moving.memory_mib)
    if choice.node is None and allow_runtime_changes and least_mib < moving.memory_mib:
        smaller = targets.choose(view, instance, nodes, facts.said, memory_mib=least_mib, storage_mib=storage_mib)
        if smaller.node is not None:
            choice, balloon_mib = smaller, min(smaller.node.free_memory_mib or 0, moving.memory_mib)
    if choice.node is None:
        raise targets.no_node(instance, choice.because)
    target = view.picture.nodes[choice.node.node]
    source = instances.primary_of(view, instance)
    broken = targets.check_policy(view, instance, target, ignore=ignore_ipolicy)
    pace, remarks = _pace(view, instance, mode, copies=copies)
    memory_mib = balloon_mib or moving.memory_mib
    storage_type = view.catalog.storage(instance.disk_template).storage_type
    steps = [f"bring the memory of {instance.name} down to {balloon_mib} MiB"] if balloon_mib else []
    if copies:
        steps += [
            f"make disk {index} of {format_mib(disk.size)} on {target.name} and copy it while {instance.name} runs"
            for index, disk in enumerate(instance.disks)
        ]
    steps.append(
        f"send its memory ({format_mib(memory_mib)}) from {source.name} to {target.name} "
        + ("while it runs" if pace.live else "while it stands still")
    )
    steps += [f"make {target.name} its primary node", f"let it go on there, and clean up on {source.name}"]
    return MigrationPlan(
        instance=instance,
        moving=moving,
        target=target.uuid,
        pace=pace,
        copies=copies,
        balloon_mib=balloon_mib,
        remarks=(*(f"the instance policy is broken: {words}" for words in broken), *remarks),
        reserve=Reservation(
            memory_mib={target.uuid: memory_mib}, storage_mib={target.uuid: {storage_type: storage_mib}}
        ),
        because=choice.because,
        steps=tuple(steps),
        dry_result=[target.name],
    )


def _copies(view: View, instance: Instance) -> bool:
    """Whether its disks must go along. `Refused` when guests of its hypervisor or its disks cannot move so."""
    if not view.catalog.hypervisor(instance.hypervisor).can_migrate:
        raise Refused(WRONG_INPUT, f"guests of {instance.hypervisor} cannot move while they run; fail it over instead")
    traits = view.catalog.storage(instance.disk_template)
    if traits.mirrored == "external":
        return False
    if traits.mirrored == "none" and traits.copyable:
        return True
    raise Refused(
        WRONG_INPUT, f"instances with disks of template {instance.disk_template} cannot move while they run yet"
    )


def _pace(view: View, instance: Instance, mode: str | None, *, copies: bool) -> tuple[Pace, tuple[str, ...]]:
    params = effective.instance_hypervisor_params(view.cluster, view.catalog, instance)
    capabilities = tuple(name for name in str(params.get("migration_caps", "")).split(":") if name)
    live = (mode or params.get("migration_mode", "live")) == "live"
    remarks: tuple[str, ...] = ()
    if POSTCOPY in capabilities and (copies or not live):
        why = "its disks are copied" if copies else "it stands still meanwhile"
        capabilities = tuple(name for name in capabilities if name != POSTCOPY)
        remarks = (f"post-copy (migration_caps) is left out, because {why}",)
    pace = Pace(
        live=live,
        bandwidth_mib_s=params.get("migration_bandwidth", Pace().bandwidth_mib_s),
        downtime_ms=params.get("migration_downtime", Pace().downtime_ms),
        capabilities=capabilities,
    )
    return pace, remarks


async def run(ctx: Context, plan: MigrationPlan) -> Outcome:
    """The whole course."""
    return await _Course(ctx, plan).run()


class _Course:
    """One migration on its way."""

    def __init__(self, ctx: Context, plan: MigrationPlan) -> None:
        self._ctx = ctx
        self._plan = plan
        self._guest: Guest = plan.moving.guest
        self._name = plan.instance.name
        nodes = ctx.view.picture.nodes
        self._source: Node = nodes[plan.instance.primary_node]
        self._target: Node = nodes[plan.target]
        self._disks = plan.instance.disks if plan.copies else ()
        self._began_s = ctx.clock.now_s()

    async def run(self) -> Outcome:
        ctx, plan = self._ctx, self._plan
        for remark in plan.remarks:
            ctx.warn(remark)
        ctx.say(f"Migrating instance {self._name} from {self._source.name} to {self._target.name}")
        if plan.balloon_mib is not None:
            await self._shrink(plan.balloon_mib)
        await self._begin()
        progress = await self._watch()
        if progress.phase == "postcopy":
            await self._hand_over()
            await self._switch()
            handed_ms = await self._finish()
            progress = await self._watch(postcopy=True)
        else:
            begun_s = ctx.clock.now_s()
            await self._hand_over()
            handed_ms = await self._finish(begun_s)
        ctx.say(self._summary(progress, handed_ms))
        return Outcome(owed=await self._clean_source())

    async def _shrink(self, memory_mib: int) -> None:
        """The guest gives memory back when its balloon driver runs; it is waited for."""
        ctx = self._ctx
        ctx.say(f"* bringing the memory of the instance down to {memory_mib} MiB")
        await ctx.call(self._source.uuid, InstanceBalloon(guest=self._guest, memory_mib=memory_mib))
        async for _ in attempts(within_s=BALLOON_LIMIT_S):
            state = await instances.guest_state(ctx, self._plan.instance)
            if state is not None and state.memory_mib <= memory_mib:
                return
        raise Failed(
            f"instance {self._name} does not give memory back: it was asked to use {memory_mib} MiB and still has more after "
            f"{BALLOON_LIMIT_S:g} s; does its balloon driver run? Make room on node {self._target.name}, or stop the instance "
            "and fail it over"
        )

    async def _begin(self) -> None:
        ctx, plan, source, target = self._ctx, self._plan, self._source.uuid, self._target.uuid
        if self._disks:
            ctx.say(f"* creating its disks on {self._target.name}")
            await ctx.undo.later(*((target, DiskRemove(disk=disk)) for disk in self._disks))
        for index, disk in enumerate(self._disks):
            owner = Owner(instance_name=self._name, instance_uuid=plan.instance.uuid, index=index)
            await ctx.call(target, DiskCreate(disk=disk, owner=owner))
        ctx.say(f"* preparing {self._target.name} to accept the instance")
        await ctx.undo.later((target, MigrationAbort(guest=self._guest)))
        landing = await ctx.call(
            target,
            MigrationReceive(
                guest=self._guest,
                moving=msgspec.structs.replace(plan.moving, memory_mib=plan.balloon_mib or plan.moving.memory_mib),
                address=self._target.secondary_ip,
                peer=self._source.name,
                copies_disks=bool(self._disks),
                pace=plan.pace,
            ),
        )
        ctx.say(f"* migrating instance to {self._target.name}")
        await ctx.undo.later((source, MigrationKeep(guest=self._guest)))
        await ctx.call(source, MigrationSend(guest=self._guest, landing=landing, pace=plan.pace))

    async def _watch(self, *, postcopy: bool = False) -> Progress:
        """Until it is over, or until post-copy may begin (phase `postcopy`). `Failed` with what stopped it."""
        ctx, looks, warned = self._ctx, 0, False
        size_mib = self._plan.moving.memory_mib + sum(disk.size for disk in self._disks)
        limit_s = 600.0 + 20.0 * size_mib / self._plan.pace.bandwidth_mib_s
        begun_s = ctx.clock.now_s()
        said = ""
        moved, moved_s = (0, 0, 0), begun_s
        while True:
            progress = await ctx.call(self._source.uuid, MigrationWatch(guest=self._guest, within_s=_LOOK_S))
            match progress.phase:
                case "completed":
                    return progress
                case "failed" | "canceled" | "none":
                    raise Failed(
                        f"cannot migrate instance {self._name} to node {self._target.name}: its hypervisor says: "
                        f"{progress.error or progress.phase}",
                        node=self._target.name,
                    )
                case "disks" | "memory" | "arriving" | "postcopy":
                    pass
            now = (progress.disk_done_bytes, progress.sent_bytes, progress.rounds)
            if now != moved:
                moved, moved_s = now, ctx.clock.now_s()
            elif ctx.clock.now_s() - moved_s > STALL_S and not postcopy:
                raise Failed(
                    f"cannot migrate instance {self._name} to node {self._target.name}: nothing has moved for {STALL_S:g} s; is "
                    f"that host up, and the network between {self._source.name} and {self._target.name}?",
                    node=self._target.name,
                )
            looks += 1
            line = progress_line(progress)
            if line != said and (looks <= _LINES_EACH_LOOK or looks % _THEN_EVERY == 0):
                ctx.say(line)
                said = line
            if not postcopy and POSTCOPY in self._plan.pace.capabilities and progress.rounds >= POSTCOPY_AFTER_ROUNDS:
                return msgspec.structs.replace(progress, phase="postcopy")
            if progress.rounds >= 20 and not warned:
                warned = True
                ctx.warn(
                    "the guest changes its memory about as fast as it can be sent; it may help to raise migration_bandwidth "
                    "or migration_downtime, to set migration_caps=auto-converge or postcopy-ram, or to use --non-live"
                )
            if not postcopy and ctx.clock.now_s() - begun_s > limit_s:
                raise Failed(
                    f"instance {self._name} did not arrive within {limit_s:.0f} s (20 times what its size takes at "
                    f"{self._plan.pace.bandwidth_mib_s} MiB/s, and 10 minutes); it runs on node {self._source.name} still"
                )

    async def _switch(self) -> None:
        try:
            await self._ctx.call(self._source.uuid, MigrationSwitch(guest=self._guest))
        except Unavailable as error:
            raise await self._unknown(error) from error
        except (Failed, Refused) as error:
            raise await self._back(error) from error

    async def _hand_over(self) -> None:
        """The commit: from here on the target owns it."""
        ctx, source, target = self._ctx, self._source.uuid, self._target.uuid
        moved = changed(self._plan.instance, ctx.clock.now_s(), primary_node=target)
        finish: Owed = ((target, MigrationFinish(guest=self._guest, if_there=True)),)
        await ctx.commit(Change(put=(moved,)), then=(*self._cleaning(source), *finish))

    def _cleaning(self, source: Uuid) -> Owed:
        """What takes the source's part away; the last is done first."""
        removals = tuple((source, DiskRemove(disk=disk)) for disk in self._disks)
        return (*removals, (source, MigrationLeave(guest=self._guest)))

    async def _finish(self, begun_s: float | None = None) -> float:
        """Let it go on at the target; returns how long that took, in ms. Goes back when the target clearly cannot."""
        ctx, target = self._ctx, self._target
        begun_s = ctx.clock.now_s() if begun_s is None else begun_s
        try:
            await ctx.call(target.uuid, MigrationFinish(guest=self._guest))
        except Unavailable as error:
            raise await self._unknown(error) from error
        except (Failed, Refused) as error:
            try:
                await ctx.call(target.uuid, MigrationAbort(guest=self._guest))
                runs = await self._runs_on_target()
            except (Failed, Refused, Unavailable) as second:
                raise await self._unknown(second) from error
            if not runs:
                raise await self._back(error) from error
            ctx.warn(f"instance {self._name} runs on node {target.name}, though not without trouble: {error.message}")
        return (ctx.clock.now_s() - begun_s) * 1000

    async def _runs_on_target(self) -> bool:
        wanted = GuestStatesGet(hypervisors=(self._plan.instance.hypervisor,), name=self._name)
        answer = await self._ctx.call(self._target.uuid, wanted)
        return any(instances.is_alive(state) for state in answer.guests if state.name == self._name)

    async def _unknown(self, cause: GanetiError) -> Failed:
        """Nobody knows whether it runs there. The source's copy is kept, still; the target goes on when it answers."""
        ctx, target = self._ctx, self._target
        await ctx.commit(Change(), then=((target.uuid, MigrationFinish(guest=self._guest, if_there=True)),))
        return Failed(
            f"instance {self._name} was sent to node {target.name}, which then could not be told to let it run: "
            f"{cause.message}; node {self._source.name} keeps a copy that stands still. It goes on as soon as "
            f"{target.name} answers; if that host is dead, mark it offline and give 'gnt-instance migrate --cleanup "
            f"{self._name}', which lets the copy run",
            **cause.facts,
        )

    async def _back(self, cause: GanetiError) -> Failed:
        """The target cannot; the source still has everything."""
        ctx, source, target = self._ctx, self._source, self._target
        ctx.warn(f"instance {self._name} cannot go on at node {target.name}: {cause.message}")
        now = ctx.view.picture.instances[self._plan.instance.uuid]
        back = changed(now, ctx.clock.now_s(), primary_node=source.uuid)
        removals: Owed = tuple((target.uuid, DiskRemove(disk=disk)) for disk in self._disks)
        abort: Owed = ((target.uuid, MigrationAbort(guest=self._guest)),)
        keep: Owed = ((source.uuid, MigrationKeep(guest=self._guest)),)
        await ctx.commit(Change(put=(back,)), then=(*removals, *abort, *keep))
        return Failed(
            f"cannot migrate instance {self._name} to node {target.name}: {cause.message}; it goes on at node {source.name}",
            **cause.facts,
        )

    async def _clean_source(self) -> Owed:
        """Returns what the source still owes: it is down, perhaps, and obeys before it gets anything new."""
        ctx, left = self._ctx, list(self._cleaning(self._source.uuid))
        while left:
            node, call = left[-1]
            try:
                await ctx.call(node, call)
            except (Failed, Refused, Unavailable) as error:
                ctx.warn(
                    f"what is left of instance {self._name} on node {self._source.name} could not be taken away yet: "
                    f"{error.message}; that is done when the node answers again"
                )
                break
            left.pop()
        return tuple(left)

    def _summary(self, progress: Progress, handed_ms: float) -> str:
        took_s = self._ctx.clock.now_s() - self._began_s
        return (
            f"* done: instance {self._name} runs on {self._target.name}; {_mib(progress.sent_bytes)} of memory sent in "
            f"{progress.rounds} rounds, {took_s:.1f} s in all; it stood still for about "
            f"{progress.downtime_ms + handed_ms:.0f} ms ({progress.downtime_ms} ms while the rest was sent, the limit being "
            f"{self._plan.pace.downtime_ms} ms; {handed_ms:.0f} ms for the hand-over)"
        )


def progress_line(progress: Progress) -> str:
    """One line for the job's log."""
    if progress.phase == "disks":
        percent = 100 * progress.disk_done_bytes / max(1, progress.disk_total_bytes)
        return (
            f"* disks: {_mib(progress.disk_done_bytes)} of {_mib(progress.disk_total_bytes)} copied ({percent:.0f} %)"
        )
    words = {"arriving": "last part of memory", "postcopy": "memory, while it runs there"}.get(progress.phase, "memory")
    return (
        f"* {words}: {_mib(progress.sent_bytes)} sent, {_mib(progress.remaining_bytes)} of {_mib(progress.total_bytes)} "
        f"left, {_mib(progress.rate_bytes_s)}/s; the guest changes {_mib(progress.dirty_rate_bytes_s)}/s "
        f"(round {progress.rounds})"
    )


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"

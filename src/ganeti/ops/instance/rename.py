"""OP_INSTANCE_RENAME: another name for an instance that is down; data that carries the name moves with it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.errors import EXISTS, NOT_UNIQUE, WRONG_INPUT, Failed, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskRename, DiskSizesGet
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.calls.os import OsRename
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.view import View
from ganeti.model import names
from ganeti.model.objects import Disk, Instance, changed
from ganeti.ops.parts import guests, hooks, instances


class InstanceRenameParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_RENAME"):
    """Spec: opcodes, OP_INSTANCE_RENAME."""

    new_name: str
    name_check: bool = False
    ip_check: bool = False


class RenameFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of the guest, and of data at each new address (MiB, None: nothing)."""

    guest: GuestState | None
    in_the_way_mib: tuple[int | None, ...]


class InstanceRenamePlan(Plan, frozen=True, kw_only=True):
    """The instance before and after; `moves` are disks whose address changes."""

    before: Instance
    after: Instance
    moves: tuple[tuple[Disk, Disk], ...]


@operation
class InstanceRename(Operation[InstanceRenameParams, RenameFacts, InstanceRenamePlan]):
    """Rename an instance that is down."""

    params = InstanceRenameParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceRenameParams, view: View) -> Locks:
        """Both names for itself."""
        new_name = names.checked_host(params.new_name, what="instance name")
        return instances.locks_of(instances.named(view, params), also=[f"instance/{new_name}"])

    async def survey(self, ask: Asker, params: InstanceRenameParams) -> RenameFacts:
        """Is it really down, and is there room for its data under the new name?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        moved = DiskSizesGet(disks=tuple(new for _, new in _moves(ask.view, instance, params.new_name)))
        sizes = await ask.call(instance.primary_node, moved)
        return RenameFacts(guest=await instances.guest_state(ask, instance), in_the_way_mib=sizes.sizes_mib)

    def plan(self, params: InstanceRenameParams, facts: RenameFacts, view: View, ids: Ids) -> InstanceRenamePlan:
        """Refuses a name that is taken, and an instance that runs."""
        for asked, words in ((params.name_check, "--name-check"), (params.ip_check, "--ip-check")):
            if asked:
                raise Refused(WRONG_INPUT, f"{words} is not served yet: names are not resolved")
        before = instances.named(view, params)
        new_name = names.checked_host(params.new_name, what="instance name")
        if new_name == before.name:
            raise Refused(WRONG_INPUT, f"instance {before.name} is called so already", instance=before.name)
        if new_name in view.picture.instance_names or view.reserved.name(new_name):
            raise Refused(NOT_UNIQUE, f"Instance '{new_name}' is already in the cluster", instance=new_name)
        instances.check_down(before, facts.guest, "be renamed")
        moves = _moves(view, before, new_name)
        for (_, new), size_mib in zip(moves, facts.in_the_way_mib, strict=True):
            if size_mib is not None:
                # Never found out by trying: a reversal could not tell that data from the instance's own.
                raise Refused(EXISTS, f"there is a disk at {new.logical_id[-1]} already", disk=new.logical_id[-1])
        moved = {old.uuid: new for old, new in moves}
        disks = tuple(moved.get(disk.uuid, disk) for disk in before.disks)
        node = instances.primary_of(view, before).name
        steps = [f"move disk {old.logical_id[-1]} to {new.logical_id[-1]} on {node}" for old, new in moves]
        if before.disks and before.os:
            steps.append(f"run the rename script of {before.os} on {node}")
        return InstanceRenamePlan(
            before=before,
            after=changed(before, view.now_s, name=new_name, disks=disks),
            moves=moves,
            reserve=Reservation(names=frozenset({new_name})),
            steps=(*steps, f"write instance {new_name} to the configuration"),
            dry_result=new_name,
        )

    def hooks(self, params: InstanceRenameParams, plan: InstanceRenamePlan, view: View) -> Hooks:
        """On the master and its nodes; afterwards it is told by its new name."""
        own = {"INSTANCE_NEW_NAME": plan.after.name}
        return hooks.of_instance(view, plan.before, path="instance-rename", own=own)

    async def run(self, ctx: Context, params: InstanceRenameParams, plan: InstanceRenamePlan) -> Outcome:
        """Disks move, the OS hears of it, the name changes. A script that fails is told, and the new name stays."""
        before, after = plan.before, plan.after
        node = before.primary_node
        # Whatever a crashed guest left behind carries the old name, and nobody would look for it afterwards.
        await ctx.call(node, InstanceStop(guest=guests.guest_of(ctx.view, before), force=True))
        for old, new in plan.moves:
            await ctx.undo.later((node, DiskRename(disk=new, renamed=old)))
            await ctx.call(node, DiskRename(disk=old, renamed=new))
        if before.os and before.disks:
            ctx.say("running the OS rename script...")
            script = OsRename(
                guest=guests.guest_of(ctx.view, after),
                old_name=before.name,
                params=guests.os_params_of(ctx.view, after),
            )
            try:
                await ctx.call(node, script)
            except (Failed, Refused) as error:
                ctx.warn(
                    f"the rename script of {before.os} did not succeed: {error.message}; instance {after.name} is "
                    f"renamed all the same, and inside it may still call itself {before.name}"
                )
        return Outcome(result=after.name, change=Change(put=(after,)))


def _moves(view: View, instance: Instance, new_name: str) -> tuple[tuple[Disk, Disk], ...]:
    """(before, after) of each disk whose address carries the instance's name."""
    addressing = view.addressing[instance.disk_template]
    name = names.checked_host(new_name, what="instance name")
    renamed = [(disk, addressing.renamed(disk, instance.name, name)) for disk in instance.disks]
    return tuple((old, new) for old, new in renamed if old != new)

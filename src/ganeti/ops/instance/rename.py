"""OP_INSTANCE_RENAME: another name for an instance that is down; data that carries the name moves with it."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import NOT_UNIQUE, WRONG_INPUT, Failed, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskRename
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.calls.os import OsRename
from ganeti.contract.guest import GuestState
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.view import View
from ganeti.model import names
from ganeti.model.objects import Disk, Instance, changed
from ganeti.ops.parts import guests, instances


class InstanceRenameParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_RENAME"):
    """Spec: opcodes, OP_INSTANCE_RENAME."""

    new_name: str
    name_check: bool = False
    ip_check: bool = False


class InstanceRenamePlan(Plan, frozen=True, kw_only=True):
    """The instance before and after; `moves` are disks whose address changes."""

    before: Instance
    after: Instance
    moves: tuple[tuple[Disk, Disk], ...]


@operation
class InstanceRename(Operation[InstanceRenameParams, GuestState | None, InstanceRenamePlan]):
    """Rename an instance that is down."""

    params = InstanceRenameParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceRenameParams, view: View) -> Locks:
        """Both names for itself."""
        new_name = names.checked_host(params.new_name, what="instance name")
        return instances.locks_of(instances.named(view, params), also=[f"instance/{new_name}"])

    async def survey(self, ask: Asker, params: InstanceRenameParams) -> GuestState | None:
        """Is it really down?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        return await instances.guest_state(ask, instance)

    def plan(self, params: InstanceRenameParams, facts: GuestState | None, view: View, ids: Ids) -> InstanceRenamePlan:
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
        instances.check_down(before, facts, "be renamed")
        addressing = view.addressing[before.disk_template]
        disks = tuple(addressing.renamed(disk, before.name, new_name) for disk in before.disks)
        moves = tuple((old, new) for old, new in zip(before.disks, disks, strict=True) if old != new)
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

    async def run(self, ctx: Context, params: InstanceRenameParams, plan: InstanceRenamePlan) -> Outcome:
        """Disks move, the OS hears of it, the name changes. A script that fails is told, and the new name stays."""
        before, after = plan.before, plan.after
        node = before.primary_node
        # Whatever a crashed guest left behind carries the old name, and nobody would look for it afterwards.
        await ctx.call(node, InstanceStop(guest=guests.guest_of(ctx.view, before), force=True))
        await ctx.undo.later(*((node, DiskRename(disk=new, renamed=old)) for old, new in plan.moves))
        for old, new in plan.moves:
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

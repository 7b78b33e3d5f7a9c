"""OP_INSTANCE_ACTIVATE_DISKS: the data of an instance is made accessible on its node, without starting it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskAssemble, DiskShutdown, DiskSizesGet
from ganeti.contract.guest import GuestState
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.storage import Owner
from ganeti.contract.view import View
from ganeti.model.objects import Instance
from ganeti.ops.parts import instances


class InstanceActivateDisksParams(
    instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_ACTIVATE_DISKS"
):
    """Spec: opcodes, OP_INSTANCE_ACTIVATE_DISKS."""

    ignore_size: bool = False
    wait_for_sync: bool = False


class ActivateDisksFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Real sizes in MiB (None: no data), and whether somebody has the disks open."""

    sizes_mib: tuple[int | None, ...]
    guest: GuestState | None


class InstanceActivateDisksPlan(Plan, frozen=True, kw_only=True):
    """`fresh`: nobody uses the disks yet, so a failure may shut them down again."""

    instance: Instance
    fresh: bool


@operation
class InstanceActivateDisks(Operation[InstanceActivateDisksParams, ActivateDisksFacts, InstanceActivateDisksPlan]):
    """Make the disks of an instance accessible."""

    params = InstanceActivateDisksParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceActivateDisksParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceActivateDisksParams) -> ActivateDisksFacts:
        """How large are the disks really?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        sizes = await ask.call(instance.primary_node, DiskSizesGet(disks=instance.disks))
        return ActivateDisksFacts(sizes_mib=sizes.sizes_mib, guest=await instances.guest_state(ask, instance))

    def plan(
        self, params: InstanceActivateDisksParams, facts: ActivateDisksFacts, view: View, ids: Ids
    ) -> InstanceActivateDisksPlan:
        """Refuses disks that are not there, or not as large as they should be."""
        instance = instances.named(view, params)
        for index, (disk, size_mib) in enumerate(zip(instance.disks, facts.sizes_mib, strict=True)):
            if size_mib is None:
                raise Refused(WRONG_STATE, f"disk/{index} of instance {instance.name} has no data", disk=index)
            if size_mib != disk.size and not params.ignore_size:
                raise Refused(
                    WRONG_STATE,
                    f"disk/{index} of instance {instance.name} has {size_mib} MiB and should have {disk.size} MiB "
                    "(--ignore-size)",
                    disk=index,
                )
        node = instances.primary_of(view, instance).name
        return InstanceActivateDisksPlan(
            instance=instance,
            fresh=not instance.disks_active and not instances.is_alive(facts.guest),
            steps=tuple(f"make disk/{index} accessible on {node}" for index in range(len(instance.disks))),
        )

    async def run(self, ctx: Context, params: InstanceActivateDisksParams, plan: InstanceActivateDisksPlan) -> Outcome:
        """Rows of [node, disk/N, path]."""
        instance, node = plan.instance, plan.instance.primary_node
        rows = []
        if plan.fresh:
            await ctx.undo.later(*((node, DiskShutdown(disk=disk)) for disk in instance.disks))
        for index, disk in enumerate(instance.disks):
            owner = Owner(instance_name=instance.name, instance_uuid=instance.uuid, index=index)
            attached = await ctx.call(node, DiskAssemble(disk=disk, owner=owner))
            rows.append([instances.primary_of(ctx.view, instance).name, f"disk/{index}", attached.path or None])
        return Outcome(result=rows, change=instances.put(instance, ctx.clock.now_s(), disks_active=True))

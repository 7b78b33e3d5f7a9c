"""OP_INSTANCE_REINSTALL: the create script of its OS, or of another one, runs again on the disks of an instance that is down."""

from __future__ import annotations

from typing import ClassVar

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.instance import InstanceStop
from ganeti.contract.calls.os import INSTALL_WITHIN_S, OsInstall, OsValidate
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.view import View
from ganeti.model.objects import Instance, Params
from ganeti.ops.parts import guests, hooks, instances, os_parameters


class InstanceReinstallParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_REINSTALL"):
    """Spec: opcodes, OP_INSTANCE_REINSTALL. Public and private parameters are kept, secret ones are not.

    Beyond it: `install_timeout`, seconds the create script may take.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("osparams_secret",)
    private_fields: ClassVar[tuple[str, ...]] = ("osparams_private",)

    force_variant: bool = False
    os_type: str | None = None
    osparams: Params | None = None
    osparams_private: Params | None = None
    osparams_secret: Params | None = None
    install_timeout: int = INSTALL_WITHIN_S


class InstanceReinstallPlan(Plan, frozen=True, kw_only=True):
    """The instance as it will be."""

    before: Instance
    after: Instance
    within_s: float


@operation
class InstanceReinstall(Operation[InstanceReinstallParams, GuestState | None, InstanceReinstallPlan]):
    """Install an instance anew on the disks it has."""

    params = InstanceReinstallParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceReinstallParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceReinstallParams) -> GuestState | None:
        """Is it really down, and does its node take the OS with these parameters?"""
        instance = instances.named(ask.view, params)
        instances.check_reachable(ask.view, instance)
        after = _after(params, instance)
        state = await instances.guest_state(ask, instance)
        os_params = guests.os_params_of(ask.view, after, params.osparams_secret)
        check = OsValidate(os_name=after.os, params=os_params, force_variant=params.force_variant)
        await ask.call(instance.primary_node, check)
        return state

    def plan(
        self, params: InstanceReinstallParams, facts: GuestState | None, view: View, ids: Ids
    ) -> InstanceReinstallPlan:
        """Refuses an instance that runs."""
        instance = instances.named(view, params)
        instances.check_down(instance, facts, "be reinstalled", offline_too=False)
        after = _after(params, instance)
        within_s = os_parameters.install_within_s(params.install_timeout)
        node = instances.primary_of(view, instance).name
        return InstanceReinstallPlan(
            before=instance,
            after=after,
            within_s=within_s,
            steps=(f"run the create script of {after.os} on the disks of {instance.name} on {node}",),
        )

    def hooks(self, params: InstanceReinstallParams, plan: InstanceReinstallPlan, view: View) -> Hooks:
        """On the master and its nodes."""
        return hooks.of_instance(view, plan.before, path="instance-reinstall")

    async def run(self, ctx: Context, params: InstanceReinstallParams, plan: InstanceReinstallPlan) -> Outcome:
        """What the disks held cannot come back; the OS is written down only when it is really installed."""
        before, after = plan.before, plan.after
        if before.os != after.os:
            ctx.say(f"changing the OS to {after.os}")
        ctx.say("running the instance OS create scripts...")
        install = OsInstall(
            guest=guests.guest_of(ctx.view, after),
            params=guests.os_params_of(ctx.view, after, params.osparams_secret),
            reinstall=True,
            debug_level=params.debug_level,
            within_s=plan.within_s,
        )
        # A node daemon that dies over it cannot put the disks away; stopping what does not run does that.
        await ctx.undo.later((before.primary_node, InstanceStop(guest=install.guest, force=True)))
        await ctx.call(before.primary_node, install)
        change = instances.put(
            before,
            ctx.clock.now_s(),
            os=after.os,
            osparams=after.osparams,
            osparams_private=after.osparams_private,
        )
        return Outcome(change=change)


def _after(params: InstanceReinstallParams, instance: Instance) -> Instance:
    if not instance.disks:
        raise Refused(WRONG_INPUT, f"instance {instance.name} has no disks to install an OS on", instance=instance.name)
    os_name = params.os_type or instance.os
    if not os_name:
        raise Refused(WRONG_INPUT, f"instance {instance.name} has no OS yet; name one with -o", instance=instance.name)
    return instances.replaced(
        instance,
        os=os_name,
        osparams=os_parameters.own(instance.osparams, params.osparams),
        osparams_private=os_parameters.own(instance.osparams_private, params.osparams_private),
    )

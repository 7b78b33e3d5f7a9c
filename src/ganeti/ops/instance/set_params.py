"""OP_INSTANCE_SET_PARAMS: parameters, NICs, disks, OS name and flags of an instance; most count from its next start on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.disk import DiskCreate, DiskRemove, DiskShutdown
from ganeti.contract.calls.instance import InstanceBalloon, InstanceCheck
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.calls.os import OsValidate
from ganeti.contract.guest import GuestState
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Plan, Recovery, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.storage import Owner
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Nic, Params
from ganeti.model.params import own_values
from ganeti.ops.instance import set_params_disks, set_params_nics
from ganeti.ops.instance.set_params_disks import ChangedDisks
from ganeti.ops.parts import guests, hooks, hypervisors, instances, modifications, os_parameters, policies
from ganeti.ops.parts.modifications import Modification


class InstanceSetParamsParams(instances.InstanceParams, frozen=True, kw_only=True, tag="OP_INSTANCE_SET_PARAMS"):
    """Spec: opcodes, OP_INSTANCE_SET_PARAMS."""

    private_fields: ClassVar[tuple[str, ...]] = ("osparams_private",)

    force: bool = False
    force_variant: bool = False
    ignore_ipolicy: bool = False
    nics: tuple[tuple[Any, ...], ...] = ()
    disks: tuple[tuple[Any, ...], ...] = ()
    beparams: Params = {}
    runtime_mem: int | None = None
    hvparams: Params = {}
    disk_template: str | None = None
    ext_params: Params = {}
    file_driver: str | None = None
    file_storage_dir: str | None = None
    pnode: str | None = None
    pnode_uuid: str | None = None
    remote_node: str | None = None
    remote_node_uuid: str | None = None
    iallocator: str | None = None
    os_name: str | None = None
    osparams: Params = {}
    osparams_private: Params | None = None
    wait_for_sync: bool = True
    offline: bool | None = None
    conflicts_check: bool = True
    hotplug: bool = True
    instance_communication: bool | None = None


_LATER: Final = {
    "disk_template": "conversion to another disk template (-t)",
    "ext_params": "parameters of external storage (-e)",
    "pnode": "another primary node (--new-primary)",
    "pnode_uuid": "another primary node (--new-primary)",
    "remote_node": "a secondary node (-n)",
    "remote_node_uuid": "a secondary node (-n)",
    "iallocator": "choosing an allocator program (-I)",
    "instance_communication": "the metadata NIC (-c)",
}

_CHANGES: Final = ("nics", "disks", "beparams", "hvparams", "os_name", "osparams", "osparams_private")


class SetParamsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the primary node says; `known` is False when it is offline and was not asked."""

    known: bool = True
    guest: GuestState | None = None
    node: NodeFacts | None = None
    objections: tuple[str, ...] = ()
    """What stands against the instance as it will be."""


class InstanceSetParamsPlan(Plan, frozen=True, kw_only=True):
    """The instance before and after, what is done to its disks and its memory, and what is told."""

    before: Instance
    fields: dict[str, Any]
    disks: ChangedDisks
    balloon_mib: tuple[int, int] | None
    """(from, to) in MiB."""
    result: tuple[tuple[str, Any], ...]
    remarks: tuple[str, ...] = ()


@operation
class InstanceSetParams(Operation[InstanceSetParamsParams, SetParamsFacts, InstanceSetParamsPlan]):
    """Change an instance. Result: a list of [what, new value]."""

    params = InstanceSetParamsParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: InstanceSetParamsParams, view: View) -> Locks:
        """The instance for itself."""
        return instances.locks_of(instances.named(view, params))

    async def survey(self, ask: Asker, params: InstanceSetParamsParams) -> SetParamsFacts:
        """Does it run, is there room, and would the node take it as it will be?"""
        view = ask.view
        instance = instances.named(view, params)
        nics, _ = _requests(params)
        after = instances.replaced(instance, **_own_parameters(params, view, instance))
        if instances.primary_of(view, instance).offline:
            return SetParamsFacts(known=False)
        guest = await instances.guest_state(ask, instance)
        facts = await instances.node_facts(ask, instance)
        if (params.os_name or params.osparams or params.osparams_private) and after.os and not params.force:
            os_params = guests.os_params_of(view, after)
            check = OsValidate(os_name=after.os, params=os_params, force_variant=params.force_variant)
            await ask.call(instance.primary_node, check)
        return SetParamsFacts(
            guest=guest, node=facts, objections=await _objections(ask, params, after, nics) if not params.force else ()
        )

    def plan(
        self, params: InstanceSetParamsParams, facts: SetParamsFacts, view: View, ids: Ids
    ) -> InstanceSetParamsPlan:
        """Everything is checked as it will be in force; what was wrong before the change refuses nothing."""
        before = instances.named(view, params)
        nic_requests, disk_requests = _requests(params)
        running = instances.is_alive(facts.guest)
        _check_devices(params, before, nic_requests, disk_requests, facts, running=running)
        nics = set_params_nics.change(view, before, nic_requests, ids)
        disks = set_params_disks.change(
            view,
            before,
            disk_requests,
            ids,
            file_storage_dir=params.file_storage_dir,
            file_driver=params.file_driver,
        )
        fields = _own_parameters(params, view, before) | {"nics": nics.nics, "disks": disks.disks}
        fields |= _admin_state(params, before, facts.guest)
        after = instances.replaced(before, **fields)
        _check_parameters_together(view, before, after)
        if facts.objections:
            instances.check_objections(view, before, facts.objections, "change")
        remarks = policies.check(view, before, after, ignore=params.ignore_ipolicy)
        balloon = _balloon(params, view, before, facts)
        reserve = _reserve(params, view, before, after, disks, facts, balloon)
        return InstanceSetParamsPlan(
            before=before,
            fields=fields,
            disks=disks,
            balloon_mib=balloon,
            result=tuple(_result(params, before, after, disks.result + nics.result)),
            remarks=tuple(f"instance policy: {sentence}" for sentence in remarks),
            reserve=reserve,
            steps=tuple(_steps(before, disks, balloon)),
        )

    def hooks(self, params: InstanceSetParamsParams, plan: InstanceSetParamsPlan, view: View) -> Hooks:
        """On the master and its nodes. They are told of the instance as it will be, so that they can judge the change."""
        told = hooks.of_instance(view, plan.before, path="instance-modify")
        env = hooks.instance_environment(view, instances.replaced(plan.before, **plan.fields))
        own = {"NEW_DISK_TEMPLATE": params.disk_template, "RUNTIME_MEMORY": params.runtime_mem}
        env |= {name: hooks.text(value) for name, value in own.items() if value is not None}
        return msgspec.structs.replace(told, env=env)

    async def run(self, ctx: Context, params: InstanceSetParamsParams, plan: InstanceSetParamsPlan) -> Outcome:
        """New disks first: they can be taken back. Removed ones last: what follows them is the commit alone."""
        before, node = plan.before, plan.before.primary_node
        for remark in plan.remarks:
            ctx.warn(remark)
        if plan.disks.added:
            await ctx.undo.later(*((node, DiskRemove(disk=disk)) for disk in plan.disks.added))
        for disk in plan.disks.added:
            index = plan.disks.disks.index(disk)
            owner = Owner(instance_name=before.name, instance_uuid=before.uuid, index=index)
            await ctx.call(node, DiskCreate(disk=disk, owner=owner, wipe=ctx.view.cluster.prealloc_wipe_disks))
        if plan.balloon_mib is not None:
            was_mib, mib = plan.balloon_mib
            guest = guests.guest_of(ctx.view, before)
            if was_mib:
                await ctx.undo.later((node, InstanceBalloon(guest=guest, memory_mib=was_mib)))
            await ctx.call(node, InstanceBalloon(guest=guest, memory_mib=mib))
        for disk in plan.disks.removed:
            if before.disks_active:
                await ctx.call(node, DiskShutdown(disk=disk))
            await ctx.call(node, DiskRemove(disk=disk))
        change = instances.put(before, ctx.clock.now_s(), **plan.fields)
        return Outcome(result=[list(pair) for pair in plan.result], change=change)


def _requests(params: InstanceSetParamsParams) -> tuple[tuple[Modification, ...], tuple[Modification, ...]]:
    """The NIC and disk requests; refuses what is not served, and a request for nothing."""
    for field, words in _LATER.items():
        if getattr(params, field):
            raise Refused(WRONG_INPUT, f"{words} is not served yet", parameter=field)
    asked = any(getattr(params, field) for field in _CHANGES)
    if not asked and params.offline is None and params.runtime_mem is None:
        raise Refused(WRONG_INPUT, "no change was asked for")
    disks = modifications.parse(params.disks, "disk")
    if (params.file_driver or params.file_storage_dir) and not any(request.verb == "add" for request in disks):
        raise Refused(WRONG_INPUT, "a file driver or directory applies to new disks only, and none is added")
    return modifications.parse(params.nics, "NIC"), disks


def _own_parameters(params: InstanceSetParamsParams, view: View, instance: Instance) -> dict[str, Any]:
    """The fields of parameters that change."""
    fields: dict[str, Any] = {}
    if params.os_name:
        fields["os"] = params.os_name
    if params.beparams:
        fields["beparams"] = hypervisors.own_backend(view, instance.beparams, params.beparams)
    if params.hvparams:
        fields["hvparams"] = hypervisors.own_hypervisor(
            view,
            instance.hypervisor,
            instance.hvparams,
            params.hvparams,
            os_name=fields.get("os", instance.os),
            beparams=fields.get("beparams", instance.beparams),
        )
    if params.osparams:
        fields["osparams"] = os_parameters.own(instance.osparams, params.osparams)
    if params.osparams_private:
        fields["osparams_private"] = os_parameters.own(instance.osparams_private, params.osparams_private)
    return fields


async def _objections(
    ask: Asker, params: InstanceSetParamsParams, after: Instance, nics: Sequence[Modification]
) -> tuple[str, ...]:
    """What the node says against new hypervisor parameters and new or changed NICs, and did not say before."""
    if not params.hvparams and not nics:
        return ()
    changed = [request for request in nics if request.verb != "remove" and not modifications.only_names(request)]
    # Identities are given out by the plan; links need none, so a draft with made-up ones is enough to ask.
    touched = tuple(_probe(ask.view, after, request, index) for index, request in enumerate(changed))
    guest = guests.guest_of(ask.view, instances.replaced(after, nics=touched, disks=()))
    said = (await ask.call(after.primary_node, InstanceCheck(guest=guest))).sentences
    if params.hvparams:
        before = instances.replaced(instances.named(ask.view, params), nics=(), disks=())
        known = (await ask.call(after.primary_node, InstanceCheck(guest=guests.guest_of(ask.view, before)))).sentences
        return tuple(sentence for sentence in said if sentence not in known)
    return tuple(sentence for sentence in said if sentence.startswith("nic/"))


def _probe(view: View, instance: Instance, request: Modification, index: int) -> Nic:
    own: Params = {}
    if request.verb == "modify":
        own = instance.nics[modifications.find(instance.nics, request.where, "NIC")].nicparams
    link = request.params.get("link", request.params.get("bridge"))
    asked: Params = {key: request.params[key] for key in ("mode", "vlan") if key in request.params}
    if link is not None:
        asked["link"] = link
    params = own_values(effective.NIC, own, asked, where=f"NIC {request.where}")
    return Nic(uuid=instance.uuid, mac="", nicparams=params)


def _check_devices(
    params: InstanceSetParamsParams,
    instance: Instance,
    nics: Sequence[Modification],
    disks: Sequence[Modification],
    facts: SetParamsFacts,
    *,
    running: bool,
) -> None:
    """What may be done to devices now."""
    made_or_unmade = [request for request in disks if request.verb != "modify"]
    if made_or_unmade and not facts.known:
        raise Refused(WRONG_STATE, f"the node of instance {instance.name} is offline: no disk can be made or removed")
    if not running:
        return
    touched = [*(request for request in nics if not modifications.only_names(request)), *made_or_unmade]
    if touched and params.hotplug:
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is running, and changing the devices of a running guest is not served yet; stop "
            "it first, or record the change for its next start with --no-hotplug",
            instance=instance.name,
        )
    if any(request.verb == "remove" for request in disks):
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is running and has its disks open; stop it before a disk is removed",
            instance=instance.name,
        )


def _admin_state(params: InstanceSetParamsParams, instance: Instance, guest: GuestState | None) -> dict[str, Any]:
    if params.offline is None:
        return {}
    if params.offline:
        instances.check_down(instance, guest, "be marked offline")
        return {"admin_state": "offline", "disks_active": False}
    return {"admin_state": "down"} if instance.admin_state == "offline" else {}


def _check_parameters_together(view: View, before: Instance, after: Instance) -> None:
    """A new OS or number of CPUs can make hypervisor parameters wrong that nobody touched."""
    traits = view.catalog.hypervisor(after.hypervisor)
    if traits.validate is None:
        return
    old, new = (
        traits.validate(
            effective.instance_hypervisor_params(view.cluster, view.catalog, each),
            effective.backend_params(view.cluster, each.beparams)["vcpus"],
        )
        for each in (before, after)
    )
    if against := [sentence for sentence in new if sentence not in old]:
        raise Refused(WRONG_INPUT, f"hypervisor {after.hypervisor}: {'; '.join(against)}")


def _balloon(
    params: InstanceSetParamsParams, view: View, instance: Instance, facts: SetParamsFacts
) -> tuple[int, int] | None:
    """The guest runs with the bounds of its start, so new ones of this request do not count yet."""
    if params.runtime_mem is None:
        return None
    if facts.guest is None or not instances.is_alive(facts.guest):
        raise Refused(
            WRONG_STATE,
            f"instance {instance.name} is not running, so it has no run-time memory",
            instance=instance.name,
        )
    backend = effective.backend_params(view.cluster, instance.beparams)
    low, high = backend["minmem"], backend["maxmem"]
    if not low <= params.runtime_mem <= high and not params.force:
        raise Refused(
            WRONG_INPUT,
            f"run-time memory of instance {instance.name} lies between minmem and maxmem, {low} to {high} MiB, "
            f"not at {params.runtime_mem} MiB",
            memory_mib=params.runtime_mem,
        )
    return facts.guest.memory_mib, params.runtime_mem


def _reserve(
    params: InstanceSetParamsParams,
    view: View,
    before: Instance,
    after: Instance,
    disks: ChangedDisks,
    facts: SetParamsFacts,
    balloon: tuple[int, int] | None,
) -> Reservation:
    """Memory and room that the change needs, checked against what the node has free."""
    node = before.primary_node
    room_mib = sum(disk.size for disk in disks.added)
    memory_mib = max(0, balloon[1] - balloon[0]) if balloon is not None else 0
    if facts.node is not None:
        instances.check_room(view, before, facts.node, room_mib)
        if memory_mib and not params.force:
            instances.check_memory(view, before, facts.node, memory_mib)
        _check_next_start(params, view, before, after, facts)
    storage_type = view.catalog.storage(before.disk_template).storage_type
    old = {nic.mac for nic in before.nics}
    return Reservation(
        macs=frozenset(nic.mac for nic in after.nics if nic.mac not in old),
        ips=frozenset((nic.network or "", nic.ip) for nic in after.nics if nic.ip) - _addresses(before),
        memory_mib={node: memory_mib} if memory_mib else {},
        storage_mib={node: {storage_type: room_mib}} if room_mib else {},
    )


def _addresses(instance: Instance) -> frozenset[tuple[str, str]]:
    return frozenset((nic.network or "", nic.ip) for nic in instance.nics if nic.ip)


def _check_next_start(
    params: InstanceSetParamsParams, view: View, before: Instance, after: Instance, facts: SetParamsFacts
) -> None:
    """An instance that shall run must still fit when it is started with its new memory."""
    old, new = (effective.backend_params(view.cluster, each.beparams)["maxmem"] for each in (before, after))
    if params.force or facts.node is None or new <= old or before.admin_state != "up":
        return
    has_mib = facts.guest.memory_mib if facts.guest is not None else 0
    instances.check_memory(view, before, facts.node, new - has_mib)


def _result(
    params: InstanceSetParamsParams, before: Instance, after: Instance, devices: Sequence[tuple[str, Any]]
) -> list[tuple[str, Any]]:
    """What was asked for, as it is written down now; private values are not told."""
    told: list[tuple[str, Any]] = []
    if params.runtime_mem is not None:
        told.append(("runtime_memory", params.runtime_mem))
    told += devices
    told += [(f"hv/{name}", after.hvparams.get(name, "default")) for name in params.hvparams]
    backend = [each for name in params.beparams for each in (("minmem", "maxmem") if name == "memory" else (name,))]
    told += [(f"be/{name}", after.beparams.get(name, "default")) for name in dict.fromkeys(backend)]
    if params.os_name:
        told.append(("os", params.os_name))
    told += [(f"os/{name}", after.osparams.get(name, "default")) for name in params.osparams]
    told += [(f"os_private/{name}", "<redacted>") for name in params.osparams_private or {}]
    if params.offline is not None:
        told.append(("admin_state", after.admin_state))
    return told


def _steps(before: Instance, disks: ChangedDisks, balloon: tuple[int, int] | None) -> list[str]:
    steps = [f"make a disk of {disk.size} MiB ({disk.dev_type}: {disk.logical_id[-1]})" for disk in disks.added]
    if balloon is not None:
        steps.append(f"change the memory of the running guest to {balloon[1]} MiB")
    steps += [f"remove disk {disk.logical_id[-1]} with its data" for disk in disks.removed]
    return [*steps, f"write instance {before.name} to the configuration"]

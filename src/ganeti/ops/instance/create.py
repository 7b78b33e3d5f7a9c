"""OP_INSTANCE_CREATE: a new instance with its disks, installed and started. All of it exists at its commit, or nothing."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

import msgspec

from ganeti.base.errors import EXISTS, NO_RESOURCES, WRONG_INPUT, WRONG_STATE, Refused
from ganeti.base.ids import Ids
from ganeti.base.units import format_mib
from ganeti.contract.calls.disk import DiskCreate, DiskRemove
from ganeti.contract.calls.instance import InstanceStart, InstanceStop
from ganeti.contract.calls.os import INSTALL_WITHIN_S, OsInstall
from ganeti.contract.guest import Guest
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.reservation import Reservation
from ganeti.contract.storage import Owner
from ganeti.contract.view import View
from ganeti.model import effective, names, policy, tags
from ganeti.model.objects import Instance, Node, Params, Uuid
from ganeti.ops.parts import disks, fitness, guests, hooks, hypervisors, nics, os_parameters
from ganeti.placement import allocate

FIRST_PORT: Final = 11000
LAST_PORT: Final = 14999


class InstanceCreateParams(OpParams, frozen=True, kw_only=True, tag="OP_INSTANCE_CREATE"):
    """Spec: opcodes, OP_INSTANCE_CREATE. Beyond it: `install_timeout`, seconds the create script may take."""

    summary_field: ClassVar[str | None] = "instance_name"
    secret_fields: ClassVar[tuple[str, ...]] = ("osparams_secret",)
    private_fields: ClassVar[tuple[str, ...]] = ("osparams_private",)

    instance_name: str
    mode: Literal["create", "import", "remote-import"] = "create"
    disk_template: str | None = None
    disks: tuple[dict[str, Any], ...] = ()
    nics: tuple[dict[str, Any], ...] = ()
    hypervisor: str | None = None
    hvparams: Params = {}
    beparams: Params = {}
    os_type: str | None = None
    osparams: Params = {}
    osparams_private: Params | None = None
    osparams_secret: Params | None = None
    force_variant: bool = False
    no_install: bool | None = None
    start: bool = True
    tags: tuple[str, ...] = ()
    pnode: str | None = None
    pnode_uuid: str | None = None
    snode: str | None = None
    snode_uuid: str | None = None
    group_name: str | None = None
    iallocator: str | None = None
    file_driver: Literal["loop", "blktap", "blktap2"] | None = None
    file_storage_dir: str | None = None
    wait_for_sync: bool = True
    name_check: bool = False
    ip_check: bool = False
    conflicts_check: bool = True
    ignore_ipolicy: bool = False
    opportunistic_locking: bool = False
    identify_defaults: bool = False
    forthcoming: bool = False
    commit: bool = False
    instance_communication: bool = False
    source_handshake: tuple[Any, ...] | None = None
    source_instance_name: str | None = None
    source_shutdown_timeout: int = 120
    source_x509_ca: str | None = None
    src_node: str | None = None
    src_node_uuid: str | None = None
    src_path: str | None = None
    compress: str = "none"
    install_timeout: int = INSTALL_WITHIN_S
    helper_startup_timeout: int | None = None
    helper_shutdown_timeout: int | None = None


class InstanceCreatePlan(Plan, frozen=True, kw_only=True):
    """Where the instance goes, what it is, and what is done for it."""

    instance: Instance
    install: bool
    force_variant: bool


@operation
class InstanceCreate(Operation[InstanceCreateParams, dict[Uuid, fitness.Fitness], InstanceCreatePlan]):
    """Create an instance with its disks."""

    params = InstanceCreateParams

    def locks(self, params: InstanceCreateParams, view: View) -> Locks:
        """The name for itself alone; its possible nodes shared, so that creations run side by side."""
        name = names.checked_host(params.instance_name, what="instance name")
        shared = {f"node/{node.uuid}" for node in possible_nodes(params, view)}
        return Locks(exclusive=frozenset({f"instance/{name}"}), shared=frozenset(shared))

    async def survey(self, ask: Asker, params: InstanceCreateParams) -> dict[Uuid, fitness.Fitness]:
        """Ask the possible nodes whether they have room, the OS and the links, and what they object to."""
        draft = draft_of(params, ask.view)
        possible = possible_nodes(params, ask.view)
        probe = guests.guest_of(ask.view, msgspec.structs.replace(draft, primary_node=possible[0].uuid))
        probe = msgspec.structs.replace(probe, nics=nics.probes(ask.view, params.nics))
        return await fitness.ask_nodes(
            ask,
            possible,
            probe,
            os_name=draft.os if installs(params, draft) else None,
            os_params=guests.os_params_of(ask.view, draft, params.osparams_secret),
            force_variant=params.force_variant,
        )

    def plan(
        self, params: InstanceCreateParams, facts: dict[Uuid, fitness.Fitness], view: View, ids: Ids
    ) -> InstanceCreatePlan:
        """Choose the node, give out identities, and judge by the policy."""
        draft = draft_of(params, view)
        possible = [node for node in possible_nodes(params, view) if node.uuid in facts]
        new_disks = disks.new_disks(
            view,
            params.disks,
            ids,
            template=draft.disk_template,
            instance_name=draft.name,
            file_storage_dir=params.file_storage_dir,
            file_driver=params.file_driver,
        )
        memory_mib = effective.backend_params(view.cluster, draft.beparams)["maxmem"] if params.start else 0
        storage_mib = sum(disk.size for disk in new_disks)
        port = _free_port(view) if view.catalog.hypervisor(draft.hypervisor).uses_network_port else None
        unplaced = msgspec.structs.replace(
            draft,
            uuid=Uuid(ids.uuid()),
            disks=new_disks,
            nics=nics.new_nics(view, params.nics, ids),
            network_port=port,
            ctime=view.now_s,
            mtime=view.now_s,
            admin_state="up" if params.start else "down",
            disks_active=params.start,
        )
        if not params.ignore_ipolicy:
            possible = _within_policy(view, unplaced, possible)
        choice = allocate.on_one_node(
            fitness.candidates(view, possible, facts, hypervisor=draft.hypervisor, template=draft.disk_template),
            memory_mib=memory_mib,
            storage_mib=storage_mib,
        )
        if choice.node is None:
            is_wrong = all(facts[node.uuid].wrong_request for node in possible)
            raise _no_node(params, choice.because, is_wrong=is_wrong)
        node = view.picture.nodes[choice.node.node]
        instance = msgspec.structs.replace(unplaced, primary_node=node.uuid)
        install = installs(params, draft)
        return InstanceCreatePlan(
            instance=instance,
            install=install,
            force_variant=params.force_variant,
            reserve=_reservation(view, instance, memory_mib, storage_mib),
            because=(*choice.because, *_effective_words(view, instance)),
            steps=tuple(_steps(instance, node, install=install, start=params.start)),
            dry_result=[node.name],
        )

    def hooks(self, params: InstanceCreateParams, plan: InstanceCreatePlan, view: View) -> Hooks:
        """On the master and where it goes."""
        own = {"ADD_MODE": params.mode, "SRC_NODE": params.src_node, "SRC_PATH": params.src_path, "SRC_IMAGES": ()}
        return hooks.of_instance(view, plan.instance, path="instance-add", own=own)

    async def run(self, ctx: Context, params: InstanceCreateParams, plan: InstanceCreatePlan) -> Outcome:
        """Disks, OS, start; each with its undo written before it. The commit comes last."""
        instance, node = plan.instance, plan.instance.primary_node
        guest = guests.guest_of(ctx.view, instance)
        if instance.disks:
            await self._create_disks(ctx, instance)
        if plan.install:
            ctx.say("* running the instance OS create scripts...")
            await ctx.call(node, self._install(ctx, guest, params, instance))
        if instance.admin_state == "up":
            ctx.say("* starting instance...")
            await ctx.undo.later((node, InstanceStop(guest=guest, force=True)))
            await ctx.call(node, InstanceStart(guest=guest))
        ctx.say(f"adding instance {instance.name} to cluster config")
        return Outcome(result=[ctx.view.picture.nodes[node].name], change=Change(put=(instance,)))

    async def _create_disks(self, ctx: Context, instance: Instance) -> None:
        node = instance.primary_node
        for index, disk in enumerate(instance.disks):
            ctx.say(f"* disk {index}, size {format_mib(disk.size)}")
        ctx.say("* creating instance disks...")
        await ctx.undo.later(*((node, DiskRemove(disk=disk)) for disk in instance.disks))
        for index, disk in enumerate(instance.disks):
            owner = Owner(instance_name=instance.name, instance_uuid=instance.uuid, index=index)
            await ctx.call(node, DiskCreate(disk=disk, owner=owner, wipe=ctx.view.cluster.prealloc_wipe_disks))

    def _install(self, ctx: Context, guest: Guest, params: InstanceCreateParams, instance: Instance) -> OsInstall:
        return OsInstall(
            guest=guest,
            params=guests.os_params_of(ctx.view, instance, params.osparams_secret),
            debug_level=params.debug_level,
            within_s=os_parameters.install_within_s(params.install_timeout),
        )


def draft_of(params: InstanceCreateParams, view: View) -> Instance:
    """The instance without what is given out by chance or placement; refuses what is wrong in itself."""
    _refuse_what_is_not_served(params)
    cluster = view.cluster
    name = names.checked_host(params.instance_name, what="instance name")
    if name in view.picture.instance_names or view.reserved.name(name):
        raise Refused(EXISTS, f"Instance '{name}' is already in the cluster", instance=name)
    template = params.disk_template or cluster.enabled_disk_templates[0]
    view.catalog.storage(template)
    if template not in cluster.enabled_disk_templates:
        enabled = ", ".join(cluster.enabled_disk_templates)
        raise Refused(WRONG_STATE, f"disk template {template} is not enabled in this cluster (enabled: {enabled})")
    if params.os_type is None and not params.no_install:
        raise Refused(WRONG_INPUT, "an operating system is needed: -o NAME, or --no-install for none")
    hypervisor = params.hypervisor or cluster.enabled_hypervisors[0]
    os_parameters.install_within_s(params.install_timeout)
    beparams = hypervisors.own_backend(view, {}, params.beparams)
    return Instance(
        uuid=Uuid(""),
        name=name,
        primary_node=Uuid(""),
        os=params.os_type or "",
        hypervisor=hypervisor,
        hvparams=hypervisors.own_hypervisor(
            view, hypervisor, {}, params.hvparams, os_name=params.os_type or "", beparams=beparams
        ),
        beparams=beparams,
        osparams=dict(params.osparams),
        osparams_private=dict(params.osparams_private or {}),
        disk_template=template,
        tags=tags.checked(params.tags),
    )


_LATER: Final = {
    "iallocator": "choosing an allocator program (-I)",
    "snode": "a secondary node",
    "snode_uuid": "a secondary node",
    "forthcoming": "reserving an instance (--forthcoming)",
    "commit": "committing a reserved instance (--commit)",
    "instance_communication": "the metadata NIC (-c)",
    "name_check": "resolving the instance's name (--name-check)",
    "ip_check": "probing the instance's address (--ip-check)",
}


def _refuse_what_is_not_served(params: InstanceCreateParams) -> None:
    if params.mode != "create":
        raise Refused(WRONG_INPUT, f"mode {params.mode} is not served yet; only 'create' is")
    for field, words in _LATER.items():
        if getattr(params, field):
            raise Refused(WRONG_INPUT, f"{words} is not served yet", parameter=field)


def possible_nodes(params: InstanceCreateParams, view: View) -> list[Node]:
    """The nodes it may go to: the one asked for, or every one that may take instances."""
    wanted = params.pnode or params.pnode_uuid
    if wanted is not None:
        node = view.picture.node(wanted)
        if obstacle := _node_obstacle(node):
            raise Refused(WRONG_STATE, f"node {node.name} {obstacle}", node=node.name)
        return [node]
    group = view.picture.group(params.group_name) if params.group_name is not None else None
    nodes = [
        node
        for node in view.picture.nodes.values()
        if _node_obstacle(node) is None and (node.group == group.uuid if group is not None else _takes(view, node))
    ]
    if not nodes:
        raise Refused(NO_RESOURCES, "no node can take instances: all are offline, drained or not vm-capable")
    return sorted(nodes, key=lambda node: node.name)


def _takes(view: View, node: Node) -> bool:
    return view.picture.groups[node.group].alloc_policy != "unallocable"


def _node_obstacle(node: Node) -> str | None:
    if node.offline:
        return "is offline"
    if node.drained:
        return "is drained"
    return None if node.vm_capable else "is not vm-capable"


def _no_node(params: InstanceCreateParams, because: tuple[str, ...], *, is_wrong: bool) -> Refused:
    code: Final = WRONG_INPUT if is_wrong else NO_RESOURCES
    if len(because) == 1:
        node, _, sentence = because[0].partition(" is excluded: ")
        return Refused(code, f"node {node} cannot take instance {params.instance_name}: {sentence}")
    return Refused(code, "no node can take the instance:\n" + "\n".join(f"  {line}" for line in because))


def installs(params: InstanceCreateParams, draft: Instance) -> bool:
    """Whether an OS script runs for it."""
    return not params.no_install and bool(params.disks) and draft.disk_template != "diskless"


def _within_policy(view: View, instance: Instance, nodes: list[Node]) -> list[Node]:
    """The nodes whose policy the instance keeps; `Refused` with every violation when there is none."""
    size = effective.size_of(view.cluster, instance)
    broken = [policy.violations(effective.instance_policy(view.picture, node), size) for node in nodes]
    kept = [node for node, violations in zip(nodes, broken, strict=True) if not violations]
    if not kept:
        words = "; ".join(broken[0])
        raise Refused(WRONG_INPUT, f"instance {instance.name} breaks the instance policy: {words} (--ignore-ipolicy)")
    return kept


def _free_port(view: View) -> int:
    for port in range(FIRST_PORT, LAST_PORT + 1):
        if port not in view.picture.ports and not view.reserved.port(port):
            return port
    raise Refused(NO_RESOURCES, f"all network ports from {FIRST_PORT} to {LAST_PORT} are in use")


def _reservation(view: View, instance: Instance, memory_mib: int, storage_mib: int) -> Reservation:
    storage_type = view.catalog.storage(instance.disk_template).storage_type
    return Reservation(
        names=frozenset({instance.name}),
        macs=frozenset(nic.mac for nic in instance.nics),
        ips=frozenset((nic.network or "", nic.ip) for nic in instance.nics if nic.ip),
        ports=frozenset() if instance.network_port is None else frozenset({instance.network_port}),
        memory_mib={instance.primary_node: memory_mib},
        storage_mib={instance.primary_node: {storage_type: storage_mib}},
    )


def _steps(instance: Instance, node: Node, *, install: bool, start: bool) -> list[str]:
    steps = [
        f"make disk {index} of {format_mib(disk.size)} on {node.name} ({disk.dev_type}: {disk.logical_id[-1]})"
        for index, disk in enumerate(instance.disks)
    ]
    if install:
        steps.append(f"run the create script of {instance.os} on {node.name}")
    if start:
        steps.append(f"start it with {instance.hypervisor} on {node.name}")
    return [*steps, f"write instance {instance.name} to the configuration"]


def _effective_words(view: View, instance: Instance) -> list[str]:
    backend = effective.backend_params(view.cluster, instance.beparams)
    words = [f"backend parameters in force: {_pairs(backend)}"]
    words.append(
        f"hypervisor parameters that differ from the built-in ones: "
        f"{_pairs(view.cluster.hvparams.get(instance.hypervisor, {}) | instance.hvparams) or 'none'}"
    )
    for index, nic in enumerate(instance.nics):
        words.append(f"NIC {index} in force: mac={nic.mac}, {_pairs(effective.nic_params(view.cluster, nic))}")
    return words


def _pairs(values: Params) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items()))

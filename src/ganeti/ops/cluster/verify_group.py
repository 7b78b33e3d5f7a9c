"""OP_CLUSTER_VERIFY_GROUP: do the nodes of a group look as the configuration says? Asks them all, changes nothing."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.base.ids import Ids
from ganeti.contract.calls import Call
from ganeti.contract.calls.disk import DiskSizes, DiskSizesGet
from ganeti.contract.calls.instance import InstanceCheck, Objections
from ganeti.contract.calls.node import NodeFactsGet, NodeInventory, NodeInventoryGet, StorageAt
from ganeti.contract.calls.os import OsList, OsListGet
from ganeti.contract.guest import Guest
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Asker, Context, Locks, Operation, Outcome, Recovery, operation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Disk, Node, Uuid
from ganeti.ops.cluster import check_group, findings
from ganeti.ops.cluster.check_group import GroupFacts, Probe
from ganeti.ops.cluster.findings import Finding, Section, VerifyPlan
from ganeti.ops.cluster.verify import Check
from ganeti.ops.parts.hook_phases import HookPhases


class ClusterVerifyGroupParams(findings.VerifyParams, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_GROUP"):
    """Spec: opcodes, OP_CLUSTER_VERIFY_GROUP."""

    summary_field: ClassVar[str | None] = "group_name"

    group_name: str
    skip_checks: tuple[Check, ...] = ()
    verify_clutter: bool = False


class VerifyGroupPlan(VerifyPlan, frozen=True, kw_only=True):
    """What was found, and the nodes that answered."""

    awake: tuple[Uuid, ...]


@operation
class ClusterVerifyGroup(Operation[ClusterVerifyGroupParams, GroupFacts, VerifyGroupPlan]):
    """Verify a node group. Result: true when there is no error."""

    params = ClusterVerifyGroupParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterVerifyGroupParams, view: View) -> Locks:
        """The group, its nodes and its instances, shared: nobody changes them meanwhile."""
        nodes = _nodes(params, view)
        shared = {f"nodegroup/{view.picture.group(params.group_name).uuid}"}
        shared |= {f"node/{node.uuid}" for node in nodes}
        shared |= {f"instance/{instance.name}" for node in nodes for instance in view.picture.instances_on(node.uuid)}
        return Locks(shared=frozenset(shared))

    async def survey(self, ask: Asker, params: ClusterVerifyGroupParams) -> GroupFacts:
        """Everything of ours on each node, and what of the instances it did not name."""
        view = ask.view
        online = [node for node in _nodes(params, view) if not node.offline]
        uuids = [node.uuid for node in online]
        began_s = view.now_s
        inventories = await ask.call_each(dict.fromkeys(uuids, _inventory(view, online)))
        ended_s = ask.view.now_s
        awake = [uuid for uuid, found in inventories.items() if isinstance(found, NodeInventory)]
        facts = await ask.call_each(dict.fromkeys(awake, NodeFactsGet(hypervisors=view.cluster.enabled_hypervisors)))
        oses = await ask.call_each(dict.fromkeys(awake, OsListGet()))
        return GroupFacts(
            began_s=began_s,
            ended_s=ended_s,
            inventories=inventories,
            facts=facts,
            oses={uuid: found for uuid, found in oses.items() if isinstance(found, OsList)},
            sizes_mib=await _sizes(ask, inventories),
            probes=tuple([probe for uuid in awake for probe in await _probed(ask, uuid)]),
        )

    def plan(self, params: ClusterVerifyGroupParams, facts: GroupFacts, view: View, ids: Ids) -> VerifyGroupPlan:
        """Compare."""
        findings.check_codes(params)
        nodes = _nodes(params, view)
        sections = [
            Section(
                heading=f"Gathering information about nodes ({len(nodes)} nodes)",
                findings=tuple(check_group.reachable(view, nodes, facts)),
            ),
            Section(heading="Verifying node status", findings=tuple(check_group.nodes(view, nodes, facts))),
            Section(heading="Verifying instance status", findings=tuple(check_group.instances(view, nodes, facts))),
            Section(
                heading="Verifying orphan instances", findings=tuple(check_group.unknown_guests(view, nodes, facts))
            ),
            Section(heading="Verifying orphan volumes", findings=tuple(check_group.unknown_disks(view, nodes, facts))),
            Section(heading="Verifying links", findings=tuple(check_group.interfaces(view, nodes, facts))),
        ]
        if "nplusone_mem" not in params.skip_checks:
            found = tuple(check_group.redundancy(view, nodes, facts))
            sections.append(Section(heading="Verifying N+1 Memory redundancy", findings=found))
        first = nodes[0].name if nodes else ""
        sections += findings.simulated(params, ("ENODERPC", "ENODETIME"), first)
        awake = [uuid for uuid, found in facts.inventories.items() if isinstance(found, NodeInventory)]
        return VerifyGroupPlan(sections=tuple(sections), awake=tuple(awake))

    async def run(self, ctx: Context, params: ClusterVerifyGroupParams, plan: VerifyGroupPlan) -> Outcome:
        """Say what was found. Hooks that fail are findings too, so they are run before the end and not after it."""
        ctx.say(f"* Verifying group '{params.group_name}'")
        hooks = Section(heading="Hooks Results", findings=tuple(await self._hooks(ctx, plan.awake)))
        sections = (*plan.sections, hooks) if hooks.findings else plan.sections
        return Outcome(result=findings.tell(ctx, params, sections))

    async def _hooks(self, ctx: Context, nodes: tuple[Uuid, ...]) -> list[Finding]:
        """Run the scripts of `cluster-verify-post.d` on the nodes of the group that answer."""
        view = ctx.view
        env = {"CLUSTER_TAGS": " ".join(view.cluster.tags)}
        hooks = Hooks(path="cluster-verify", object_type="CLUSTER", env=env, post_nodes=nodes)
        ran = await HookPhases("OP_CLUSTER_VERIFY_GROUP").run(ctx, view, hooks, "post")
        found = [
            Finding(code="ENODEHOOKS", name=each.node, message=f"script {each.script} failed: {each.output}")
            for each in ran.failures
        ]
        return found + [
            Finding(code="ENODEHOOKS", name=node, message=f"its hooks were not run: {why}") for node, why in ran.silent
        ]


def _nodes(params: ClusterVerifyGroupParams, view: View) -> list[Node]:
    group = view.picture.group(params.group_name)
    return sorted((node for node in view.picture.nodes.values() if node.group == group.uuid), key=lambda n: n.name)


def _inventory(view: View, nodes: list[Node]) -> NodeInventoryGet:
    """Ask every node the same; links are those that instances of the group use."""
    cluster = view.cluster
    nics = [nic for node in nodes for instance in view.picture.instances_on(node.uuid) for nic in instance.nics]
    used = [effective.nic_params(cluster, nic) for nic in nics]
    used.append(effective.nic_params(cluster))
    links = {(nic["mode"], nic["link"]) for nic in used if view.catalog.network(nic["mode"]).link_checked}
    storages = [
        StorageAt(template=template, location=view.addressing[template].location(cluster))
        for template in cluster.enabled_disk_templates
        if view.catalog.storage(template).has_disks
    ]
    return NodeInventoryGet(
        hypervisors=cluster.enabled_hypervisors, storages=tuple(storages), links=tuple(sorted(links))
    )


async def _sizes(ask: Asker, inventories: check_group.Inventories) -> dict[Uuid, int | None]:
    """The real size of every disk that no inventory has shown: those outside of where new ones go."""
    wanted: dict[Uuid, Call[DiskSizes]] = {}
    hidden: dict[Uuid, tuple[Disk, ...]] = {}
    for node, inventory in inventories.items():
        if not isinstance(inventory, NodeInventory):
            continue
        shown = {check_group.address_of(found.template, found.address) for found in inventory.disks}
        disks = tuple(
            disk
            for instance in ask.view.picture.instances_on(node)
            for disk in instance.disks
            if check_group.address_of(disk.dev_type, disk.logical_id) not in shown
        )
        if disks:
            hidden[node], wanted[node] = disks, DiskSizesGet(disks=disks)
    sizes: dict[Uuid, int | None] = {}
    for node, answer in (await ask.call_each(wanted)).items():
        if isinstance(answer, DiskSizes):
            sizes |= {disk.uuid: size for disk, size in zip(hidden[node], answer.sizes_mib, strict=True)}
    return sizes


async def _probed(ask: Asker, node: Uuid) -> list[Probe]:
    """What the node says against the hypervisor parameters in use on it, each different set once, and the defaults."""
    view = ask.view
    users: dict[bytes, list[str]] = {}
    guests: dict[bytes, Guest] = {}
    for hypervisor in view.cluster.enabled_hypervisors:
        full = effective.hypervisor_params(view.cluster, view.catalog, hypervisor)
        guest = _probe_guest(hypervisor, full)
        guests[msgspec.json.encode(guest)] = guest
    for instance in view.picture.instances_on(node):
        full = effective.instance_hypervisor_params(view.cluster, view.catalog, instance)
        guest = _probe_guest(instance.hypervisor, full)
        key = msgspec.json.encode(guest)
        guests[key] = guest
        users.setdefault(key, []).append(instance.name)
    probes = []
    for key, guest in guests.items():
        answer = (await ask.call_each({node: InstanceCheck(guest=guest)}))[node]
        sentences = answer.sentences if isinstance(answer, Objections) else (answer.message,)
        probes.append(
            Probe(node=node, hypervisor=guest.hypervisor, users=tuple(users.get(key, ())), sentences=sentences)
        )
    return probes


def _probe_guest(hypervisor: str, hvparams: dict[str, object]) -> Guest:
    return Guest(name="verify", uuid="", hypervisor=hypervisor, hvparams=hvparams, maxmem_mib=0, minmem_mib=0, vcpus=1)

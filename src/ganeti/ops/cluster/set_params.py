"""OP_CLUSTER_SET_PARAMS: the cluster's own settings, checked against its drivers, its nodes and every instance."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ganeti.base.errors import ENVIRONMENT, WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import NodeInventory, NodeInventoryGet, StorageAt
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import (
    Asker,
    Change,
    Context,
    Locks,
    Operation,
    Outcome,
    Plan,
    Recovery,
    operation,
)
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Cluster, changed
from ganeti.model.params import defaults, merged
from ganeti.ops.cluster import set_params_effects, set_params_values
from ganeti.ops.cluster.set_params_request import LATER, SETTINGS, ClusterSetParamsParams
from ganeti.ops.parts import hooks


class NodeSays(msgspec.Struct, frozen=True, kw_only=True):
    """What the nodes object to with the settings as they are and as they would be."""

    objections: tuple[str, ...] = ()


class ClusterSetParamsPlan(Plan, frozen=True, kw_only=True):
    """The settings as they will be. The operator is told `remarks`."""

    after: Cluster
    remarks: tuple[str, ...]


@operation
class ClusterSetParams(Operation[ClusterSetParamsParams, NodeSays, ClusterSetParamsPlan]):
    """Change the cluster."""

    params = ClusterSetParamsParams
    recovery: ClassVar[Recovery] = "rerun"

    def locks(self, params: ClusterSetParamsParams, view: View) -> Locks:
        """The whole cluster: nothing is under way that was planned with the old settings."""
        return Locks(exclusive=frozenset({"cluster"}))

    async def survey(self, ask: Asker, params: ClusterSetParamsParams) -> NodeSays:
        """Do the nodes that are online take the new hypervisor parameters, links and directories?"""
        before, after = ask.view.cluster, _after(params, ask.view)
        if params.force:
            return NodeSays()
        wanted = _inventory(params, ask.view, after)
        if wanted == NodeInventoryGet():
            return NodeSays()
        nodes = [node for node in ask.view.picture.nodes.values() if node.vm_capable and not node.offline]
        known = await ask.call_each({node.uuid: _inventory(params, ask.view, before) for node in nodes})
        said = await ask.call_each({node.uuid: wanted for node in nodes})
        objections: list[str] = []
        for node in nodes:
            found, old = said[node.uuid], known[node.uuid]
            if not isinstance(found, NodeInventory):
                raise found
            old_sentences = _sentences(old) if isinstance(old, NodeInventory) else set()
            objections += sorted(f"node {node.name}: {words}" for words in _sentences(found) - old_sentences)
        return NodeSays(objections=tuple(objections))

    def plan(self, params: ClusterSetParamsParams, facts: NodeSays, view: View, ids: Ids) -> ClusterSetParamsPlan:
        """Refuses what an instance could not live with."""
        after = _after(params, view)
        if facts.objections:
            raise Refused(ENVIRONMENT, f"{'; '.join(facts.objections)} (--force sets it all the same)")
        set_params_effects.check_instances(view, after)
        remarks = [*set_params_values.os_list_remarks(params, view.cluster)]
        remarks += set_params_effects.policy_remarks(view, after)
        now = changed(after, view.now_s)
        return ClusterSetParamsPlan(
            after=now, remarks=tuple(remarks), steps=("write the cluster's settings",), dry_result=None
        )

    def hooks(self, params: ClusterSetParamsParams, plan: ClusterSetParamsPlan, view: View) -> Hooks:
        """On the master."""
        env = {"OP_TARGET": view.cluster.cluster_name, "NEW_VG_NAME": hooks.text(params.vg_name)}
        master = hooks.with_master(view)
        return Hooks(path="cluster-modify", object_type="CLUSTER", env=env, pre_nodes=master, post_nodes=master)

    async def run(self, ctx: Context, params: ClusterSetParamsParams, plan: ClusterSetParamsPlan) -> Outcome:
        """Only the configuration changes."""
        for remark in plan.remarks:
            ctx.warn(remark)
        return Outcome(change=Change(put=(plan.after,)))


def _after(params: ClusterSetParamsParams, view: View) -> Cluster:
    """The settings as they will be, each value checked by itself and all together."""
    for field, words in LATER.items():
        if getattr(params, field):
            raise Refused(WRONG_INPUT, f"{words} is not served yet", parameter=field)
    if all(value is None for name, value in msgspec.structs.asdict(params).items() if name in SETTINGS):
        raise Refused(WRONG_INPUT, "no change was asked for")
    return set_params_values.applied(view, params)


def _inventory(params: ClusterSetParamsParams, view: View, cluster: Cluster) -> NodeInventoryGet:
    """What to ask a node so that it judges the settings of `cluster` that the request touches."""
    hvparams: dict[str, dict[str, Any]] = {}
    for name in params.hvparams or {}:
        if name in cluster.enabled_hypervisors:
            traits = view.catalog.hypervisor(name)
            hvparams[name] = merged(defaults(traits.params), cluster.hvparams.get(name, {}))
    storages = []
    if any((params.enabled_disk_templates, params.file_storage_dir, params.shared_file_storage_dir)):
        for template in cluster.enabled_disk_templates:
            if view.catalog.storage(template).file_based:
                location = view.addressing[template].location(cluster)
                storages.append(StorageAt(template=template, location=location))
    links: tuple[tuple[str, str], ...] = ()
    if params.nicparams:
        nic = effective.nic_params(cluster)
        if view.catalog.network(nic["mode"]).link_checked:
            links = ((nic["mode"], nic["link"]),)
    return NodeInventoryGet(hypervisors=tuple(hvparams), hvparams=hvparams, storages=tuple(storages), links=links)


def _sentences(inventory: NodeInventory) -> set[str]:
    """Drivers join their sentences; apart they can be compared."""
    ours = {name: words for name, words in inventory.problems.items() if name not in ("interfaces", "certificate")}
    return {sentence for words in ours.values() for sentence in words.split("; ")}

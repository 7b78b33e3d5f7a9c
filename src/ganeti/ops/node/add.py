"""OP_NODE_ADD: take a host that has been enrolled into the cluster, or take a node back. Its daemon serves already."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

import msgspec

from ganeti.base import version
from ganeti.base.errors import (
    ENVIRONMENT,
    EXISTS,
    NOT_UNIQUE,
    UNKNOWN,
    WRONG_INPUT,
    WRONG_STATE,
    Failed,
    Refused,
    Unavailable,
)
from ganeti.base.ids import Ids
from ganeti.contract.calls.node import Ping, Pong
from ganeti.contract.hooks import Hooks
from ganeti.contract.join import MAX_DRIFT_S
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.contract.wire import Address
from ganeti.model import effective
from ganeti.model.names import checked_host
from ganeti.model.objects import Node, Params, Uuid, changed
from ganeti.model.params import own_values
from ganeti.ops.parts import hooks, membership


class NodeAddParams(OpParams, frozen=True, kw_only=True, tag="OP_NODE_ADD"):
    """Spec: opcodes, OP_NODE_ADD. `node_uuid`, `certificate` and `port` are what the enrolment gave the host."""

    summary_field: ClassVar[str | None] = "node_name"

    node_name: str
    hv_state: Params | None = None
    disk_state: Params | None = None
    primary_ip: str | None = None
    secondary_ip: str | None = None
    readd: bool = False
    group: str | None = None
    master_capable: bool | None = None
    vm_capable: bool | None = None
    ndparams: Params | None = None
    node_setup: bool = False
    node_uuid: str | None = None
    certificate: str | None = None
    port: int = 1811


class Facts(msgspec.Struct, frozen=True):
    """What the host answered, and the time of day then."""

    pong: Pong
    now_s: float


class AddPlan(Plan, frozen=True, kw_only=True):
    """The node as it will be."""

    node: Node


@operation
class NodeAdd(Operation[NodeAddParams, Facts, AddPlan]):
    """Add a node. Result: nothing."""

    params = NodeAddParams

    def locks(self, params: NodeAddParams, view: View) -> Locks:
        """The cluster for itself: what every node knows changes."""
        return Locks(exclusive=frozenset({"cluster"}))

    async def survey(self, ask: Asker, params: NodeAddParams) -> Facts:
        """Ask the host, by the certificate that it was given and no other."""
        if params.certificate is None or params.primary_ip is None:
            raise Refused(
                WRONG_INPUT,
                f"host {params.node_name} has no certificate of this cluster yet; add it with 'gnt-node add', or with "
                "'gnt-cluster join-token' here and 'ganeti-join' there",
                name=params.node_name,
            )
        check_free(ask.view, params)
        address = Address(
            name=params.node_name, host=params.primary_ip, port=params.port, certificate=params.certificate
        )
        try:
            pong = await ask.call_at(address, Ping())
        except (Unavailable, Failed) as error:
            raise Refused(
                ENVIRONMENT,
                f"the master cannot reach the node daemon of {params.node_name}: {error.message}",
                name=params.node_name,
            ) from error
        return Facts(pong, ask.view.now_s)

    def plan(self, params: NodeAddParams, facts: Facts, view: View, ids: Ids) -> AddPlan:
        """Judge the host. Refuses what the cluster could not work with."""
        check_free(view, params)
        check_clock(params.node_name, facts.pong.now_s, facts.now_s)
        own = version.software()
        if facts.pong.version.split(".")[0] != own.split(".")[0]:
            raise Refused(
                ENVIRONMENT,
                f"node {params.node_name} has version {facts.pong.version}, the master {own}: install the same there",
            )
        node = _node(params, view, ids)
        return AddPlan(
            node=node,
            steps=(f"add node {node.name} ({node.primary_ip}) to group {view.picture.groups[node.group].name}",),
        )

    def hooks(self, params: NodeAddParams, plan: AddPlan, view: View) -> Hooks:
        """Before it on the nodes there are, afterwards on the new one too."""
        others = [uuid for uuid in sorted(view.picture.nodes) if uuid != plan.node.uuid]
        return Hooks(
            path="node-add",
            object_type="NODE",
            env=hooks.node_environment(plan.node),
            pre_nodes=tuple(others),
            post_nodes=(*others, plan.node.uuid),
        )

    async def run(self, ctx: Context, params: NodeAddParams, plan: AddPlan) -> Outcome:
        """Let the host know its cluster, then write it down; the others learn it by the commit."""
        node = plan.node
        picture = ctx.view.picture.with_changes(revision=ctx.view.picture.revision, put=(node,))
        address = Address(name=node.name, host=node.primary_ip, port=node.port, certificate=node.certificate)
        await ctx.call_at(address, membership.settings_for(picture))
        ctx.say(f"node {node.name} is {'back ' if params.readd else ''}in the cluster" + _role(node))
        return Outcome(change=Change(put=(node,)))


def check_name(view: View, node_name: str, *, readd: bool) -> str:
    """The name of a node that may be added, or be added again; else `Refused`."""
    name = checked_host(node_name, what="node name")
    known_uuid = view.picture.node_names.get(name)
    if known_uuid is not None and not readd:
        raise Refused(
            EXISTS,
            f"Node {name} is already in the cluster; --readd takes it back after it was installed anew",
            name=name,
        )
    if known_uuid is None and readd:
        raise Refused(UNKNOWN, f"Node {name} is not in the cluster, so it cannot be added again; leave --readd out")
    if known_uuid is not None and known_uuid == view.cluster.master_node:
        raise Refused(WRONG_STATE, f"node {name} is the master; the master cannot be added again")
    if name == view.cluster.cluster_name:
        raise Refused(NOT_UNIQUE, f"{name} is the name of the cluster; a node needs one of its own")
    return name


def check_free(view: View, params: NodeAddParams) -> None:
    """`Refused` when the name or an address is somebody else's, or does not fit the cluster."""
    name = check_name(view, params.node_name, readd=params.readd)
    known_uuid = view.picture.node_names.get(name)
    primary = _address(params.primary_ip or "")
    secondary = _address(params.secondary_ip or primary)
    if view.cluster.master_ip in (primary, secondary):
        raise Refused(NOT_UNIQUE, f"address {view.cluster.master_ip} is that of the cluster", address=primary)
    for other in view.picture.nodes.values():
        for address in {primary, secondary} & {other.primary_ip, other.secondary_ip}:
            if other.name != name:
                raise Refused(
                    NOT_UNIQUE, f"address {address} is that of node {other.name}; {name} needs its own", address=address
                )
    known = view.picture.nodes[known_uuid] if known_uuid is not None else None
    if known is not None and known.primary_ip != primary:
        raise Refused(
            WRONG_INPUT,
            f"node {name} has the address {known.primary_ip} and came back with {primary}; "
            "remove it from the cluster and add it anew",
        )
    if membership.is_multi_homed(view) != (primary != secondary):
        raise Refused(
            WRONG_INPUT,
            "the nodes of this cluster have a secondary address for replication; give this one its own with -s"
            if membership.is_multi_homed(view)
            else "the nodes of this cluster have no secondary address; leave -s out",
        )


def check_clock(name: str, its_s: float, ours_s: float) -> None:
    """`Refused` when two clocks are further apart than verification accepts."""
    drift_s = its_s - ours_s
    if abs(drift_s) > MAX_DRIFT_S:
        raise Refused(
            ENVIRONMENT,
            f"the clock of {name} is {abs(drift_s):.0f} s {'ahead of' if drift_s > 0 else 'behind'} the master's, more "
            f"than the {MAX_DRIFT_S:.0f} s that are allowed; set it, with an NTP service at best",
            drift_s=drift_s,
        )


def _node(params: NodeAddParams, view: View, ids: Ids) -> Node:
    assert params.primary_ip is not None, "the survey refuses without"
    name = checked_host(params.node_name, what="node name")
    group = view.picture.group(params.group).uuid if params.group else None
    primary = _address(params.primary_ip)
    fields: dict[str, Any] = {
        "primary_ip": primary,
        "secondary_ip": _address(params.secondary_ip or primary),
        "certificate": params.certificate,
        "port": params.port,
        "offline": False,
        "drained": False,
    }
    fields |= {
        flag: value
        for flag, value in (("master_capable", params.master_capable), ("vm_capable", params.vm_capable))
        if value is not None
    }
    if params.readd:
        known = view.picture.node(name)
        if group not in (None, known.group):
            raise Refused(WRONG_INPUT, f"node {name} stays in its group when it is added again; leave --node-group out")
        if params.ndparams:
            raise Refused(WRONG_INPUT, f"node {name} keeps its parameters; change them with 'gnt-node modify'")
        node = changed(known, view.now_s, powered=True, master_candidate=False, **fields)
        others = view.picture.with_changes(revision=view.picture.revision, put=(node,))
    else:
        node = Node(
            uuid=Uuid(params.node_uuid or ids.uuid()),
            name=name,
            group=group or _only_group(view),
            ndparams=own_values(effective.NODE, {}, params.ndparams or {}, where=f"node {name}"),
            ctime=view.now_s,
            mtime=view.now_s,
            master_candidate=False,
            **fields,
        )
        others = view.picture
    full = len(membership.candidates(others)) >= view.cluster.candidate_pool_size
    return msgspec.structs.replace(node, master_candidate=node.master_capable and not full)


def _only_group(view: View) -> Uuid:
    groups = view.picture.groups
    if len(groups) == 1:
        return next(iter(groups))
    if "default" in view.picture.group_names:
        return view.picture.group_names["default"]
    names = ", ".join(sorted(view.picture.group_names))
    raise Refused(WRONG_INPUT, f"the cluster has several node groups, {names}; say which with --node-group")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise Refused(WRONG_INPUT, f"'{text}' is not an IP address", address=text) from error


def _role(node: Node) -> str:
    return ", as a master candidate" if node.master_candidate else ""

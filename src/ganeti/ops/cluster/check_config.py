"""Is a picture of the cluster consistent in itself? Pure; what the store cannot check, because it knows no meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ganeti.base.errors import Refused
from ganeti.contract.view import View
from ganeti.model import effective, names, policy, tags
from ganeti.model.objects import Instance, Stored
from ganeti.model.params import own_values
from ganeti.ops.cluster.findings import Finding


def consistency(view: View) -> Iterator[Finding]:
    """References, and what may exist only once."""
    picture, cluster = view.picture, view.cluster
    if cluster.master_node not in picture.nodes:
        yield _cfg(f"the master node {cluster.master_node} is not one of the nodes")
    elif not picture.nodes[cluster.master_node].master_candidate:
        yield _cfg(f"the master node {picture.nodes[cluster.master_node].name} is not a master candidate")
    yield from _twice("name of an instance", (each.name for each in picture.instances.values()))
    yield from _twice("name of a node", (each.name for each in picture.nodes.values()))
    yield from _twice("name of a node group", (each.name for each in picture.groups.values()))
    yield from _twice("node address", (each.primary_ip for each in picture.nodes.values()))
    nics = [nic for each in picture.instances.values() for nic in each.nics]
    yield from _twice("MAC address", (nic.mac for nic in nics))
    yield from _twice("IP address", (f"{nic.ip} in network {nic.network or '-'}" for nic in nics if nic.ip))
    yield from _twice("network port", (str(p) for each in picture.instances.values() if (p := each.network_port)))
    disks = [disk for each in picture.instances.values() for disk in each.disks]
    yield from _twice("disk UUID", (disk.uuid for disk in disks))
    yield from _twice("disk address", (f"{disk.dev_type} {disk.logical_id[-1]}" for disk in disks if disk.logical_id))
    for obj in (*picture.instances.values(), *picture.nodes.values(), *picture.groups.values(), cluster):
        yield from _valid(obj)


def dangling(view: View) -> Iterator[Finding]:
    """Nodes of no group, instances of no node."""
    for node in view.picture.nodes.values():
        if node.group not in view.picture.groups:
            yield Finding(code="ECLUSTERDANGLINGNODES", name=node.name, message=f"there is no node group {node.group}")
    for instance in view.picture.instances.values():
        for uuid in (instance.primary_node, *instance.secondary_nodes):
            if uuid not in view.picture.nodes:
                yield Finding(
                    code="ECLUSTERDANGLINGINST", name=uuid, message=f"instance {instance.name} is on this unknown node"
                )


def parameters(view: View) -> Iterator[Finding]:
    """Own parameters are known and valid, and go together; what instances use is enabled."""
    cluster = view.cluster
    for name in cluster.enabled_hypervisors:
        yield from _hypervisor(view, name)
    for template in cluster.enabled_disk_templates:
        if template not in view.catalog.storages:
            yield _cfg(f"disk template {template} is enabled, and this version does not know it")
    try:
        policy.checked(cluster.ipolicy)
    except Refused as refusal:
        yield _cfg(refusal.message)
    for group in view.picture.groups.values():
        try:
            policy.checked(group.ipolicy, group=True)
        except Refused as refusal:
            yield _cfg(f"node group {group.name}: {refusal.message}")
    for instance in view.picture.instances.values():
        yield from _instance(view, instance)


def _hypervisor(view: View, name: str) -> Iterator[Finding]:
    traits = view.catalog.hypervisors.get(name)
    if traits is None:
        yield _cfg(f"hypervisor {name} is enabled, and this version does not know it")
        return
    own = view.cluster.hvparams.get(name, {})
    try:
        own_values(traits.params, {}, own, where=f"hypervisor {name}", cluster_level=True)
    except Refused as refusal:
        yield _cfg(refusal.message)
        return
    if traits.validate is not None:
        for os_name in ("", *view.cluster.os_hvp):
            full = effective.hypervisor_params(view.cluster, view.catalog, name, os_name)
            where = f"hypervisor {name}" + (f" for OS {os_name}" if os_name else "")
            yield from (_cfg(f"{where}: {words}") for words in traits.validate(full, None))


def _instance(view: View, instance: Instance) -> Iterator[Finding]:
    def wrong(message: str) -> Finding:
        return Finding(code="EINSTANCEMISSINGCFGPARAMETER", name=instance.name, message=message)

    traits = view.catalog.hypervisors.get(instance.hypervisor)
    if traits is None or instance.hypervisor not in view.cluster.enabled_hypervisors:
        yield wrong(f"its hypervisor {instance.hypervisor} is not enabled")
        return
    if instance.disk_template not in view.cluster.enabled_disk_templates:
        yield wrong(f"its disk template {instance.disk_template} is not enabled")
    try:
        own_values(traits.params, {}, instance.hvparams, where=f"hypervisor {instance.hypervisor}")
        own_values(effective.BACKEND, {}, instance.beparams, where="the backend")
        for nic in instance.nics:
            own_values(effective.NIC, {}, nic.nicparams, where="its NIC")
    except Refused as refusal:
        yield wrong(refusal.message)
        return
    backend = effective.backend_params(view.cluster, instance.beparams)
    if backend["minmem"] > backend["maxmem"]:
        yield wrong(f"minmem ({backend['minmem']} MiB) is above maxmem ({backend['maxmem']} MiB)")
    if traits.validate is not None:
        full = effective.instance_hypervisor_params(view.cluster, view.catalog, instance)
        yield from (wrong(words) for words in traits.validate(full, backend["vcpus"]))
    for index, nic in enumerate(instance.nics):
        mode = effective.nic_params(view.cluster, nic)["mode"]
        if mode not in view.catalog.networks:
            yield wrong(f"NIC {index}: this version knows no mode {mode}")
        elif view.catalog.networks[mode].ip_required and not nic.ip:
            yield wrong(f"NIC {index} has no IP address, which mode {mode} needs")


def _valid(obj: Stored) -> Iterator[Finding]:
    name = getattr(obj, "name", "")
    try:
        tags.checked(obj.tags)
        if isinstance(obj, Instance):
            names.checked_host(obj.name, what="instance name")
            for nic in obj.nics:
                names.checked_mac(nic.mac)
    except Refused as refusal:
        yield _cfg(f"{type(obj).__name__.lower()} {name}: {refusal.message}")


def _twice(what: str, values: Iterable[str]) -> Iterator[Finding]:
    for value, count in Counter(values).items():
        if count > 1:
            yield _cfg(f"{what} {value} is given {count} times")


def _cfg(message: str) -> Finding:
    return Finding(code="ECLUSTERCFG", name="", message=message)

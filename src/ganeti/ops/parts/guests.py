"""From an instance as it is stored to a guest as its node needs it. Pure."""

from __future__ import annotations

from ganeti.contract.guest import Guest, GuestNic
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Instance, Nic, Params
from ganeti.model.params import merged


def guest_of(
    view: View, instance: Instance, *, hvparams: Params | None = None, beparams: Params | None = None
) -> Guest:
    """The guest with every parameter in force; `hvparams` and `beparams` override for one start only."""
    cluster = view.cluster
    backend = merged(effective.backend_params(cluster, instance.beparams), beparams or {})
    nodes = view.picture.nodes
    return Guest(
        name=instance.name,
        uuid=instance.uuid,
        hypervisor=instance.hypervisor,
        hvparams=merged(effective.instance_hypervisor_params(cluster, view.catalog, instance), hvparams or {}),
        maxmem_mib=backend["maxmem"],
        minmem_mib=backend["minmem"],
        vcpus=backend["vcpus"],
        os=instance.os,
        disk_template=instance.disk_template,
        disks=instance.disks,
        nics=tuple(_guest_nic(view, index, nic) for index, nic in enumerate(instance.nics)),
        network_port=instance.network_port,
        primary_node=nodes[instance.primary_node].name,
        secondary_nodes=tuple(nodes[uuid].name for uuid in instance.secondary_nodes),
        tags=instance.tags,
        beparams=backend,
        ctime=instance.ctime,
        mtime=instance.mtime,
        user_shutdown=cluster.enabled_user_shutdown,
    )


def _guest_nic(view: View, index: int, nic: Nic) -> GuestNic:
    params = effective.nic_params(view.cluster, nic)
    return GuestNic(
        index=index,
        uuid=nic.uuid,
        mac=nic.mac,
        mode=params["mode"],
        link=params["link"],
        vlan=params["vlan"],
        ip=nic.ip,
        name=nic.name,
    )


def os_params_of(view: View, instance: Instance, secret: Params | None = None) -> dict[str, str]:
    """The OS parameters a script gets: public, private, and secret ones given with this very request."""
    stored = effective.os_params(view.cluster, instance.os, instance.osparams, instance.osparams_private)
    return {name: str(value) for name, value in {**stored, **(secret or {})}.items()}

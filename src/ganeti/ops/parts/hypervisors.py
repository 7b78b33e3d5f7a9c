"""Own hypervisor and backend parameters of an instance after a request, checked as they will be in force. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Refused
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Params
from ganeti.model.params import defaults, merged, own_values


def own_hypervisor(
    view: View, hypervisor: str, current: Params, asked: Mapping[str, Any], *, os_name: str, beparams: Params
) -> Params:
    """The instance's own hypervisor parameters. `Refused` for a wrong one, or when they do not go together."""
    traits = view.catalog.hypervisor(hypervisor)
    if hypervisor not in view.cluster.enabled_hypervisors:
        enabled = ", ".join(view.cluster.enabled_hypervisors)
        raise Refused(WRONG_STATE, f"hypervisor {hypervisor} is not enabled in this cluster (enabled: {enabled})")
    own = own_values(traits.params, current, asked, where=f"hypervisor {hypervisor}")
    if traits.validate is not None:
        full = merged(effective.hypervisor_params(view.cluster, view.catalog, hypervisor, os_name), own)
        against = traits.validate(full, effective.backend_params(view.cluster, beparams)["vcpus"])
        if against:
            raise Refused(WRONG_INPUT, f"hypervisor {hypervisor}: {'; '.join(against)}")
    return own


def own_backend(view: View, current: Params, asked: Mapping[str, Any], *, cluster_level: bool = False) -> Params:
    """The own backend parameters of an instance (or of the cluster); `memory` sets both bounds."""
    full = dict(asked)
    if "memory" in full:
        memory = full.pop("memory")
        full = {"minmem": memory, "maxmem": memory} | full
    own = own_values(effective.BACKEND, current, full, where="the backend")
    force = merged(defaults(effective.BACKEND), own) if cluster_level else effective.backend_params(view.cluster, own)
    if force["minmem"] > force["maxmem"]:
        raise Refused(
            WRONG_INPUT, f"minmem ({force['minmem']} MiB) is above maxmem ({force['maxmem']} MiB); set both, or memory"
        )
    return own

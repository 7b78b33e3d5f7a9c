"""What new settings of a cluster would do to its instances. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Refused
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Cluster, Instance
from ganeti.ops.parts import policies

MOST_NAMED = 5
"""Instances that an error names; the others are counted."""


def check_instances(view: View, after: Cluster) -> None:
    """`Refused` when an instance uses what would not be enabled, or its parameters would not go together any more."""
    instances = list(view.picture.instances.values())
    _check_still_enabled(instances, after)
    broken: list[str] = []
    for instance in instances:
        known = set(_objections(view, view.cluster, instance))
        broken += [
            f"instance {instance.name}: {words}" for words in _objections(view, after, instance) if words not in known
        ]
    if broken:
        raise Refused(WRONG_INPUT, f"with these settings {_some(broken)}")


def policy_remarks(view: View, after: Cluster) -> list[str]:
    """Instances that will break the policy and did not before. They run on; changes and moves will tell."""
    if after.ipolicy == view.cluster.ipolicy and after.beparams == view.cluster.beparams:
        return []
    names = []
    for instance in view.picture.instances.values():
        known = policies.violations_of(view, view.cluster, instance)
        if any(words not in known for words in policies.violations_of(view, after, instance)):
            names.append(instance.name)
    if not names:
        return []
    return [f"after this change the following instances break the instance policy: {_some(sorted(names), ', ')}"]


def _check_still_enabled(instances: Iterable[Instance], after: Cluster) -> None:
    for words, enabled, used in (
        ("hypervisor", after.enabled_hypervisors, Counter(each.hypervisor for each in instances)),
        ("disk template", after.enabled_disk_templates, Counter(each.disk_template for each in instances)),
    ):
        for name, count in sorted(used.items()):
            if name not in enabled:
                noun = "instance uses" if count == 1 else "instances use"
                raise Refused(WRONG_STATE, f"{words} {name} cannot be disabled: {count} {noun} it", name=name)


def _objections(view: View, cluster: Cluster, instance: Instance) -> Iterator[str]:
    backend = effective.backend_params(cluster, instance.beparams)
    if backend["minmem"] > backend["maxmem"]:
        yield f"minmem ({backend['minmem']} MiB) is above maxmem ({backend['maxmem']} MiB)"
    traits = view.catalog.hypervisor(instance.hypervisor)
    if traits.validate is not None:
        full = effective.instance_hypervisor_params(cluster, view.catalog, instance)
        yield from traits.validate(full, backend["vcpus"])
    for index, nic in enumerate(instance.nics):
        params = effective.nic_params(cluster, nic)
        mode = view.catalog.network(params["mode"])
        if mode.ip_required and not nic.ip:
            yield f"NIC {index} has no IP address, which mode {mode.mode} needs"


def _some(sentences: list[str], separator: str = "; ") -> str:
    more = len(sentences) - MOST_NAMED
    return separator.join(sentences[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

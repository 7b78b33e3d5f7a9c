"""Does a change make an instance break the policy of its group? Pure."""

from __future__ import annotations

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.view import View
from ganeti.model import effective, policy
from ganeti.model.objects import Cluster, Instance, Params


def new_violations(before: Params, after: Params, old: policy.Size, new: policy.Size) -> tuple[str, ...]:
    """What is wrong after and was not before: nobody is refused a change for what was wrong all along."""
    known = policy.violations(before, old)
    return tuple(sentence for sentence in policy.violations(after, new) if sentence not in known)


def violations_of(view: View, cluster: Cluster, instance: Instance) -> list[str]:
    """Every violation of an instance as it is, with `cluster` in force."""
    group = view.picture.groups[view.picture.nodes[instance.primary_node].group]
    return policy.violations(policy.effective(cluster.ipolicy, group.ipolicy), effective.size_of(cluster, instance))


def check(view: View, before: Instance, after: Instance, *, ignore: bool) -> tuple[str, ...]:
    """`Refused` (wrong_input) when the change makes a new violation; with `ignore` the violations, to be told."""
    in_force = effective.instance_policy(view.picture, view.picture.nodes[after.primary_node])
    broken = new_violations(
        in_force, in_force, effective.size_of(view.cluster, before), effective.size_of(view.cluster, after)
    )
    if broken and not ignore:
        words = "; ".join(broken)
        raise Refused(WRONG_INPUT, f"instance {after.name} would break the instance policy: {words} (--ignore-ipolicy)")
    return broken

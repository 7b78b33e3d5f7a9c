"""What hooks are told when an instance goes to another node. Pure; spec: opcodes, OP_INSTANCE_MIGRATE and its like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.contract.hooks import Hooks
from ganeti.contract.view import View
from ganeti.model.objects import Instance, Uuid
from ganeti.ops.parts import hooks


def hooks_of(
    view: View, instance: Instance, target: Uuid, *, path: str, own: Mapping[str, Any], source_may_be_dead: bool = False
) -> Hooks:
    """On the master, the node it was on before (`instance` is as it was then) and the one it goes to.

    With `source_may_be_dead` nothing is asked of the source before the deed.
    """
    nodes = view.picture.nodes
    secondary = nodes[instance.secondary_nodes[0]].name if instance.secondary_nodes else ""
    places = {
        "OLD_PRIMARY": nodes[instance.primary_node].name,
        "OLD_SECONDARY": secondary,
        "NEW_PRIMARY": nodes[target].name,
        "NEW_SECONDARY": nodes[instance.primary_node].name if secondary else "",
    }
    after = (instance.primary_node, target)
    before = after[1:] if source_may_be_dead else after
    return hooks.of_instance(view, instance, path=path, own={**own, **places}, pre_nodes=before, post_nodes=after)

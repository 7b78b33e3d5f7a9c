"""`gnt-group`: the groups that nodes are in."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "group",
    "look after the node groups of the cluster",
    "add add-tags assign-nodes info list list-fields list-tags modify remove remove-tags rename show-ispecs-cmd",
    aliases={"show": "info"},
    later="evacuate",
)

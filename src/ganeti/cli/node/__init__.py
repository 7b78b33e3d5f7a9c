"""`gnt-node`: the hosts of a cluster."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "node",
    "look after the hosts of the cluster",
    "add-tags info list list-fields list-tags remove-tags",
    aliases={"show": "info"},
    later="add evacuate failover health list-drbd list-storage migrate modify modify-storage power powercycle remove"
    " repair-storage restricted-command volumes",
)

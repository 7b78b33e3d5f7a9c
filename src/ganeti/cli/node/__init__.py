"""`gnt-node`: the hosts of a cluster."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "node",
    "look after the hosts of the cluster",
    "add modify remove add-tags failover health info list list-fields list-storage list-tags migrate power remove-tags",
    aliases={"show": "info"},
    later="evacuate list-drbd modify-storage powercycle repair-storage restricted-command volumes",
)

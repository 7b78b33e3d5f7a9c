"""`gnt-cluster`: the cluster as a whole."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "cluster",
    "set up and look after the cluster as a whole",
    "activate-master-ip add-tags command copyfile deactivate-master-ip destroy getmaster info init join-token list-tags"
    " master-failover master-ping modify queue redist-conf remove-tags repair-disk-sizes search-tags show-ispecs-cmd"
    " verify verify-disks version watcher",
    aliases={"show": "info", "masterfailover": "master-failover"},
    later="epo rename renew-crypto upgrade",
)

"""`gnt-cluster`: the cluster as a whole."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "cluster",
    "set up and look after the cluster as a whole",
    "activate-master-ip deactivate-master-ip master-failover master-ping redist-conf"
    " add-tags command copyfile destroy getmaster info init join-token list-tags modify queue remove-tags search-tags show-ispecs-cmd"
    " verify verify-disks version watcher",
    aliases={"show": "info", "masterfailover": "master-failover"},
    later="epo rename renew-crypto repair-disk-sizes upgrade",
)

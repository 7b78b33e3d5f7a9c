"""`gnt-cluster`: the cluster as a whole."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "cluster",
    "set up and look after the cluster as a whole",
    "add-tags destroy getmaster info init join-token list-tags modify queue remove-tags search-tags show-ispecs-cmd verify verify-disks version"
    " watcher",
    aliases={"show": "info", "masterfailover": "master-failover"},
    later="activate-master-ip command copyfile deactivate-master-ip epo master-failover master-ping redist-conf rename"
    " renew-crypto repair-disk-sizes upgrade",
)

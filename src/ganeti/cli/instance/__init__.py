"""`gnt-instance`: virtual machines."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "instance",
    "create and run virtual machines",
    "activate-disks add add-tags batch-create console deactivate-disks failover grow-disk info list list-fields"
    " list-tags migrate modify move reboot reinstall remove remove-tags rename shutdown startup",
    aliases={"start": "startup", "stop": "shutdown", "show": "info"},
    later="change-group recreate-disks replace-disks",
)

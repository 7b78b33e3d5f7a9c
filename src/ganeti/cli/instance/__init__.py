"""`gnt-instance`: virtual machines."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "instance",
    "create and run virtual machines",
    "add add-tags batch-create console failover info list list-fields list-tags migrate modify reboot reinstall remove remove-tags"
    " rename shutdown startup",
    aliases={"start": "startup", "stop": "shutdown", "show": "info"},
    later="activate-disks change-group deactivate-disks grow-disk move recreate-disks replace-disks",
)

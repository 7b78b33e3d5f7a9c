"""`gnt-job`: what the cluster does, did and will do."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "job",
    "watch and steer jobs",
    "archive autoarchive cancel change-priority info list list-fields wait watch",
    aliases={"show": "info"},
)

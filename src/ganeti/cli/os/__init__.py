"""`gnt-os`: what can be installed in an instance."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "os",
    "look at the operating systems that can be installed",
    "diagnose info list",
    aliases={"show": "info"},
    later="modify",
)

"""`gnt-debug`: locks, delays and jobs written by hand."""

from __future__ import annotations

from ganeti.cli.declare import Group

GROUP = Group(
    "debug",
    "look inside the cluster and try it out",
    "delay locks submit-job",
    aliases={"allocator": "iallocator"},
    later="iallocator metad test-jobqueue test-osparams wconfd",
)

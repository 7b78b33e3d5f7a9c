"""`gnt-group list`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.list_command(
    "group",
    "List node groups, with their number of nodes and instances",
    "name,node_cnt,pinst_cnt,alloc_policy,ndparams",
    name="GROUP",
    examples=[("All groups", "gnt-group list"), ("Who is in them", "gnt-group list -o name,node_list")],
)

"""`gnt-node list`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.list_command(
    "node",
    "List nodes, with their memory, disk space and number of instances",
    "name,dtotal,dfree,mtotal,mnode,mfree,pinst_cnt,sinst_cnt",
    name="NODE",
    units=True,
    examples=[
        ("All nodes", "gnt-node list"),
        ("Who is master, candidate, drained or offline", "gnt-node list -o name,role"),
        ("Nodes with a tag", "gnt-node list '\"rack1\" in tags'"),
    ],
)

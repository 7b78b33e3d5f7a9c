"""`gnt-instance list`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.list_command(
    "instance",
    "List instances and how they are",
    "name,hypervisor,os,pnode,status,oper_ram",
    name="INSTANCE",
    units=True,
    examples=[
        ("All instances", "gnt-instance list"),
        ("Those that do not run as they should", "gnt-instance list 'status != \"running\"'"),
        ("For a script", "gnt-instance list --no-headers --separator=: -o name,pnode,be/maxmem"),
        ("As JSON", "gnt-instance list -o +disk.sizes --format=json"),
    ],
)

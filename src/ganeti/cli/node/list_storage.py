"""`gnt-node list-storage`."""

from __future__ import annotations

from ganeti.cli import jobs, listing
from ganeti.cli.declare import PRIORITY, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

FIELDS = ("node", "type", "name", "size", "used", "free", "allocatable")
_KINDS = {"size": "unit", "used": "unit", "free": "unit", "allocatable": "bool"}
OPTIONS = (
    listing.NO_HEADERS,
    listing.SEPARATOR,
    listing.UNITS,
    Option("-o --output", "columns, parted by commas; with + in front they are added to the usual ones", kind="string"),
    Option(
        "-t --storage-type",
        "what kind of storage; without it that of the first enabled disk template that has one",
        choices=("file", "lvm-pv", "lvm-vg", "sharedfile", "gluster"),
        param="storage_type",
    ),
    PRIORITY,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node list-storage [NODE...]`."""
    asked = options["output"]
    fields = list(FIELDS) if not asked else asked.lstrip("+").split(",")
    if asked and asked.startswith("+"):
        fields = [*FIELDS, *fields]
    op = jobs.op_from("OP_NODE_QUERY_STORAGE", OPTIONS, options, output_fields=fields, nodes=arguments)
    results = jobs.one(session, options, op)
    columns = [{"name": name, "title": name.capitalize(), "kind": _KINDS.get(name, "text")} for name in fields]
    rows = [[(0, value) for value in row] for row in (results and results[0]) or []]
    return listing.show(session, options, columns, rows, {})


COMMAND = Command(
    run,
    "List the places where nodes keep disks, and their room",
    arguments=(Argument("NODE", 0, None, complete="node"),),
    options=OPTIONS,
    examples=[("Room for disks that are files", "gnt-node list-storage -t file -o node,free")],
    op="OP_NODE_QUERY_STORAGE",
)

"""`gnt-node info`."""

from __future__ import annotations

from ganeti.cli import output
from ganeti.cli.declare import Argument, Command
from ganeti.cli.output import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def readable(node: dict[str, Any]) -> Pairs:
    """A node as people read it. The shape is that of /info/node (contract.api)."""
    return Pairs(
        [
            ("Node name", node["name"]),
            ("primary ip", node["primary_ip"]),
            ("secondary ip", node["secondary_ip"]),
            ("master candidate", node["master_candidate"]),
            ("drained", node["drained"]),
            ("offline", node["offline"]),
            ("master_capable", node["master_capable"]),
            ("vm_capable", node["vm_capable"]),
            ("primary for instances", sorted(node["pinst_list"])),
            ("secondary for instances", sorted(node["sinst_list"])),
            ("node parameters", output.or_default(node["custom_ndparams"], node["ndparams"])),
        ]
    )


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node info [NAME...]`."""
    items = session.master.info("node", arguments)["items"]
    return output.show(session, options, items, [readable(item) for item in items])


COMMAND = Command(
    run,
    "Show all that is known of nodes",
    arguments=(Argument("NODE", 0, None, complete="node"),),
    options=output.STRUCTURED,
    examples=[("All nodes", "gnt-node info")],
)

"""`gnt-os diagnose`."""

from __future__ import annotations

from ganeti.cli.declare import NO_JOB_PRIORITY, Command
from ganeti.cli.output import STRUCTURED, structured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def describe(system: dict[str, Any]) -> list[str]:
    """One operating system in lines: the whole, and how each node has it."""
    marks = [mark for mark in ("hidden", "blacklisted") if system[mark]]
    state = "".join([f" [global status: {system['status']}]", *(f" [{mark}]" for mark in marks)])
    lines = [f"OS: {system['name']}{state}"]
    if system["variants"]:
        lines.append(f"  Variants: [{', '.join(system['variants'])}]")
    lines.extend(f"  Node: {_node(node)}" for node in system["nodes"])
    return [*lines, ""]


def _node(node: dict[str, Any]) -> str:
    if node["status"] == "missing":
        return f"{node['node']}, status: missing"
    if node["status"] != "valid":
        return f"{node['node']}, status: invalid - {'; '.join(node['problems'])} (path: {node['path']})"
    parts = [
        f"[API versions: {', '.join(map(str, node['api_versions']))}]",
        f"[variants: {', '.join(node['variants'])}]" if node["variants"] else "[no variants]",
        f"[parameters: {', '.join(node['parameters'])}]" if node["parameters"] else "[no parameters]",
        "[trusted]" if node["trusted"] else "[untrusted]",
    ]
    return f"{node['node']}, status: valid (path: {node['path']}) {' '.join(parts)}"


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-os diagnose`. Status 1 when an operating system is not valid everywhere."""
    systems = session.master.info("os")
    if options["output"]:
        session.write(structured(systems, options["output"]))
    else:
        for system in systems:
            for line in describe(system):
                session.say(line)
    return 0 if all(system["valid"] for system in systems) else 1


COMMAND = Command(
    run,
    "Show on which nodes an operating system can be installed, and why not",
    options=(*STRUCTURED, NO_JOB_PRIORITY),
    examples=[("What is wrong with an OS definition", "gnt-os diagnose")],
)

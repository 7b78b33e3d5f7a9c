"""`gnt-os info`."""

from __future__ import annotations

from ganeti.cli.declare import NO_JOB_PRIORITY, Argument, Command
from ganeti.cli.output import STRUCTURED, structured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def describe(system: dict[str, Any]) -> list[str]:
    """One operating system in lines."""
    lines = [
        f"{system['name']}:",
        f"  - valid: {system['valid']}",
        f"  - hidden: {system['hidden']}",
        f"  - blacklisted: {system['blacklisted']}",
        "  - API versions:",
        *(f"    - {version}" for version in sorted(system["api_versions"])),
        "  - variants:",
        *(f"    - {variant}" for variant in system["variants"]),
        "  - parameters:",
        *(f"    - {name}: {text}" for name, text in system["parameters"].items()),
    ]
    return [*lines, f"  - trusted: {system['trusted']}", ""]


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-os info [NAME...]`. Status 1 when a name is not known."""
    systems = {system["name"]: system for system in session.master.info("os")}
    unknown = [name for name in arguments if name not in systems]
    wanted = [system for name, system in sorted(systems.items()) if not arguments or name in arguments]
    if options["output"]:
        session.write(structured(wanted, options["output"]))
    else:
        for system in wanted:
            for line in describe(system):
                session.say(line)
    for name in unknown:
        session.warn(f"There is no operating system '{name}' on any node; 'gnt-os list' shows all")
    return 1 if unknown else 0


COMMAND = Command(
    run,
    "Show what is known of an operating system: variants, parameters, versions of its interface",
    arguments=(Argument("OS", 0, None, complete="os"),),
    options=(*STRUCTURED, NO_JOB_PRIORITY),
    examples=[("Parameters of one", "gnt-os info tiny")],
)

"""`gnt-cluster search-tags`."""

from __future__ import annotations

from ganeti.cli.declare import NO_JOB_PRIORITY, Argument, Command
from ganeti.cli.output import STRUCTURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster search-tags PATTERN`. Status 1 when nothing fits."""
    found = sorted(session.master.search_tags(arguments[0]))
    if options["output"]:
        from ganeti.cli.output import structured

        session.write(structured([{"path": path, "tag": tag} for path, tag in found], options["output"]))
    else:
        for path, tag in found:
            session.say(f"{path} {tag}")
    return 0 if found else 1


COMMAND = Command(
    run,
    "Find tags of the cluster, nodes and instances by a regular expression",
    arguments=(Argument("PATTERN"),),
    options=(NO_JOB_PRIORITY, *STRUCTURED),
    examples=[("Who carries web or www", "gnt-cluster search-tags '^(web|www)$'")],
)

"""`gnt-group show-ispecs-cmd`."""

from __future__ import annotations

from ganeti.cli.cluster import policy
from ganeti.cli.declare import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (Option("--include-defaults", "also what the group inherits from the cluster"),)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group show-ispecs-cmd [NAME...]`."""
    import shlex

    reply = session.master.query("group", fields=["name", "ipolicy", "custom_ipolicy"], arguments=arguments)
    for (_, name), (_, full), (_, own) in reply["rows"]:
        words = policy.option_words(full if options["include_defaults"] else own)
        session.say(shlex.join(["gnt-group", "add", *words, name]))
    return 0


COMMAND = Command(
    run,
    "Print the options of 'add' that make the instance policy of a group",
    arguments=(Argument("GROUP", 0, None, complete="group"),),
    options=OPTIONS,
    examples=[("What is in force in a group", "gnt-group show-ispecs-cmd --include-defaults rack1")],
)

"""`gnt-group modify`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import Argument, Command
from ganeti.cli.group import options as group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-group modify NAME`."""
    op = group.operation("OP_GROUP_SET_PARAMS", options, arguments[0])
    if set(op) == {"OP_ID", "group_name"}:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "nothing to change is given; --help shows what can be changed")
    results = jobs.one(session, options, op)
    if results and results[0] and not options["dry_run"]:
        session.say(f"Modified node group {arguments[0]}")
        for what, value in results[0]:
            session.say(f" - {what} -> {value}")
    return 0


COMMAND = Command(
    run,
    "Change a node group",
    arguments=(Argument("GROUP", complete="group"),),
    options=group.VALUES,
    examples=[("No more instances for this group", "gnt-group modify --alloc-policy unallocable rack1")],
    op="OP_GROUP_SET_PARAMS",
)

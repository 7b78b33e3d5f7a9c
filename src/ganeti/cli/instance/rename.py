"""`gnt-instance rename`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("--ip-check", "refuse when the address of the new name answers already", param="ip_check"),
    Option("--name-check", "refuse a new name that does not resolve", param="name_check"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance rename OLD NEW`."""
    old, new = arguments
    op = jobs.op_from("OP_INSTANCE_RENAME", OPTIONS, options, instance_name=old, new_name=new)
    results = jobs.one(session, options, op)
    if results and results[0] and not options["dry_run"]:
        session.say(f"Instance '{old}' renamed to '{results[0]}'")
    return 0


COMMAND = Command(
    run,
    "Rename an instance that is down",
    arguments=(Argument("INSTANCE", complete="instance"), Argument("NAME")),
    options=OPTIONS,
    examples=[("A better name", "gnt-instance rename web1.example.com www.example.com")],
    op="OP_INSTANCE_RENAME",
)

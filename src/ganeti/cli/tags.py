"""The tag commands of every kind of object."""

from __future__ import annotations

from ganeti.cli import declare, jobs
from ganeti.cli.declare import NO_JOB_PRIORITY, STRING, Argument, Command, Option
from ganeti.cli.output import STRUCTURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

FROM = Option(
    "--from",
    "read further tags from a file, one a line; - is standard input",
    kind=STRING,
    metavar="FILE",
    complete="file",
)
_EXAMPLE_NAMES = {"instance": " web1.example.com", "node": " node1.example.com", "group": " rack1", "cluster": ""}
_KINDS = {"group": "nodegroup"}
"""What the operations call it, where the program is called otherwise."""


def _object(kind: str) -> tuple[Argument, ...]:
    return () if kind == "cluster" else (Argument(kind.upper(), complete=kind),)


def _change(kind: str, op_id: str, summary: str, verb: str) -> Command:
    def run(session: Session, options: Options, arguments: list[str]) -> int:
        name, tags = (None, arguments) if kind == "cluster" else (arguments[0], arguments[1:])
        tags = [*tags, *(_from_file(options["from"]) if options["from"] else ())]
        if not tags:
            from ganeti.base.errors import WRONG_INPUT, Refused

            raise Refused(WRONG_INPUT, "no tags given, neither as arguments nor with --from")
        named = {} if name is None else {"name": name}
        jobs.one(session, options, {"OP_ID": op_id, "kind": _KINDS.get(kind, kind), "tags": tags, **named})
        return 0

    return Command(
        run,
        summary,
        arguments=(*_object(kind), Argument("TAG", 0, None)),
        options=(FROM, declare.SUBMIT, declare.PRINT_JOBID, declare.PRIORITY),
        examples=[
            (f"{summary.split(' tags')[0]} two tags", f"gnt-{kind} {verb}-tags{_EXAMPLE_NAMES[kind]} web production")
        ],
        op=op_id,
    )


def add_command(kind: str) -> Command:
    """Declare `add-tags`."""
    return _change(kind, "OP_TAGS_SET", f"Add tags to {_article(kind)}", "add")


def remove_command(kind: str) -> Command:
    """Declare `remove-tags`."""
    return _change(kind, "OP_TAGS_DEL", f"Remove tags from {_article(kind)}", "remove")


def list_command(kind: str) -> Command:
    """Declare `list-tags`."""

    def run(session: Session, options: Options, arguments: list[str]) -> int:
        tags = sorted(session.master.tags(_KINDS.get(kind, kind), arguments[0] if arguments else None))
        if options["output"]:
            from ganeti.cli.output import structured

            session.write(structured(tags, options["output"]))
            return 0
        for tag in tags:
            session.say(tag)
        return 0

    return Command(
        run,
        f"List the tags of {_article(kind)}",
        arguments=_object(kind),
        options=(NO_JOB_PRIORITY, *STRUCTURED),
        examples=[("One tag a line", f"gnt-{kind} list-tags{_EXAMPLE_NAMES[kind]}")],
    )


def _article(kind: str) -> str:
    return {"instance": "an instance", "node": "a node", "group": "a node group"}.get(kind, f"the {kind}")


def _from_file(path: str) -> list[str]:
    import sys

    from ganeti.base.errors import ENVIRONMENT, Refused

    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
    except OSError as error:
        raise Refused(ENVIRONMENT, f"cannot read tags from {path}: {error.strerror}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]

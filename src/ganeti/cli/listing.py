"""`list` and `list-fields` of every kind of object: ask the master, print a table, JSON or YAML."""

from __future__ import annotations

from ganeti.cli import table
from ganeti.cli.declare import FORMAT, STRING, Argument, Command, Option
from ganeti.cli.output import STRUCTURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

    Select = Callable[["Session", Options, list[str]], "dict[str, Any]"]

UNKNOWN_FIELD = 14
FORMATS = ("json", "yaml")

NO_HEADERS = Option("--no-headers", "leave the row of titles out")
SEPARATOR = Option("--separator", "what stands between fields; columns are not aligned then", kind=STRING, metavar="S")
UNITS = Option(
    "--units", "unit of sizes: h picks the best one for each and says it, m, g and t print numbers", choices="hmgt"
)
OUTPUT = Option(
    "-o --output",
    "columns, parted by commas; with + in front they are added to the usual ones;"
    " 'json' or 'yaml' alone stands for --format, and leaves the columns as they are",
    kind=STRING,
    metavar="FIELDS",
    repeat=True,
)
VERBOSE = Option("-v --verbose", "missing values as (unknown), (nodata), (unavail), (offline)")
FILTER = Option("-F --filter", "the argument is a filter, also if it looks like a name")
TABLE = (NO_HEADERS, SEPARATOR, OUTPUT, VERBOSE, FORMAT)


def list_command(
    what: str,
    summary: str,
    fields: str,
    *,
    name: str,
    examples: Sequence[tuple[str, str]],
    units: bool = False,
    more: Sequence[Option] = (),
    select: Select | None = None,
    kinds: dict[str, str] | None = None,
) -> Command:
    """Declare `list`. `fields`: the usual columns. `select` turns further options into arguments of `Master.query`.

    `kinds`: columns shown as another kind than the master's.
    """

    def run(session: Session, options: Options, arguments: list[str]) -> int:
        if select is None:
            selection: dict[str, Any] = {"arguments": arguments, "force_filter": options["filter"]}
        else:
            selection = select(session, options, arguments)
        reply = session.master.query(what, chosen_fields(options["output"], fields), **selection)
        return show(session, options, reply["fields"], reply["rows"], kinds or {})

    return Command(
        run,
        summary,
        arguments=(Argument(name, 0, None, complete=what),),
        options=(*TABLE, FILTER, *((UNITS,) if units else ()), *more),
        description=f"Without -o the columns are {fields.replace(',', ', ')}. 'list-fields' names all there are.\n\n"
        "Arguments are names (cut short where that is unambiguous, or with * and ?), or one filter such as"
        " 'status == \"running\"'.",
        examples=examples,
    )


def fields_command(what: str, summary: str) -> Command:
    """Declare `list-fields`."""

    def run(session: Session, options: Options, arguments: list[str]) -> int:
        names = [name for argument in arguments for name in argument.split(",") if name]
        found = session.master.query_fields(what, names or None)
        rows = [[(0, field["name"]), (0, field["title"]), (0, field["doc"])] for field in found]
        columns = [
            {"name": title.lower(), "title": title, "kind": "text"} for title in ("Name", "Title", "Description")
        ]
        show(session, options, columns, rows, {})
        return _report_unknown(session, [field["name"] for field in found if field["kind"] == "unknown"])

    return Command(
        run,
        summary,
        arguments=(Argument("FIELD", 0, None),),
        options=(NO_HEADERS, SEPARATOR, *STRUCTURED),
        examples=[("What 'list -o' understands", f"gnt-{what} list-fields")],
    )


def chosen_fields(outputs: Sequence[str] | None, usual: str) -> list[str]:
    """The columns that the last -o with columns asks for."""
    output = next((each for each in reversed(outputs or ()) if each and each not in FORMATS), None)
    if output is None:
        return usual.split(",")
    if output.startswith("+"):
        return [*usual.split(","), *[name for name in output[1:].split(",") if name]]
    return [name for name in output.split(",") if name]


def chosen_format(options: Options) -> str | None:
    """`json`, `yaml`, or None for a table."""
    if options.get("format"):
        return str(options["format"])
    given = options.get("output") or ()
    outputs = [given] if isinstance(given, str) else given
    return next((each for each in reversed(outputs) if each in FORMATS), None)


def show(
    session: Session,
    options: Options,
    columns: Sequence[dict[str, Any]],
    rows: Sequence[Sequence[Any]],
    kinds: dict[str, str],
    *,
    pad_last: bool = False,
) -> int:
    """Print rows of [status, value] in the way those options of `TABLE` say that the command has.

    Returns 14 when a column is unknown, else 0.
    """
    unknown = [column["name"] for column in columns if column["kind"] == "unknown"]
    status = _report_unknown(session, unknown)
    style = chosen_format(options)
    if style is not None:
        from ganeti.cli.output import structured

        objects = [
            {column["name"]: value if state == 0 else None for column, (state, value) in zip(columns, row, strict=True)}
            for row in rows
        ]
        session.write(structured(objects, style))
        return status
    separator = options.get("separator")
    units = options.get("units") or ("h" if separator is None else "m")
    shown_as = [kinds.get(column["name"], column["kind"]) for column in columns]
    text = table.cells(shown_as, rows, units=units, verbose=bool(options.get("verbose")))
    titles = [column["title"] if column["kind"] != "unknown" else column["name"] for column in columns]
    right = [column["kind"] in table.RIGHT for column in columns]
    headers = not options["no_headers"]
    result = table.lines(titles, text, right=right, separator=separator, headers=headers, pad_last=pad_last)
    if session.out_is_terminal and separator is None:
        result = _coloured(session, result, text, headers)
    if result:
        session.write("\n".join(result) + "\n")
    return status


def _report_unknown(session: Session, unknown: Sequence[str]) -> int:
    if not unknown:
        return 0
    session.warn(f"Warning: Queried for unknown fields {', '.join(unknown)}")
    return UNKNOWN_FIELD


def _coloured(session: Session, lines: list[str], cells: list[list[str]], headers: bool) -> list[str]:
    """On a terminal: the titles stand out, and so do rows that tell of an error."""
    painted = [session.paint(line, "bold") for line in lines[:1]] if headers else []
    for line, row in zip(lines[len(painted) :], cells, strict=True):
        bad = any(cell.startswith("ERROR_") or cell == "error" for cell in row)
        painted.append(session.paint(line, "red") if bad else line)
    return painted

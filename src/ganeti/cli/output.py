"""What info commands print: nested keys and values, indented by two, or the same as JSON or YAML. Pure."""

from __future__ import annotations

from ganeti.cli.declare import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OUTPUT = Option("-o --output", "print as JSON or YAML instead", choices=("json", "yaml"), extra=True)
FORMAT = Option("--format", "the same as --output", choices=("json", "yaml"), dest="output", extra=True)
STRUCTURED = (OUTPUT, FORMAT)
"""Options of every info command."""


def structured(value: Any, style: str) -> str:
    """Data as JSON or YAML text, with a final newline."""
    if style == "json":
        import json

        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False))


def show(session: Session, options: Options, data: Any, readable: Any = None) -> int:
    """Print `data` as the user asked: JSON, YAML, or lines (of `readable`, when that is another form). Always 0."""
    if options["output"]:
        session.write(structured(data, options["output"]))
    else:
        session.write(nested(data if readable is None else readable))
    return 0


def nested(value: Any) -> str:
    """Objects as `key: value` in their order, lists with dashes, all indented by two; empty ones leave only their key."""
    lines: list[str] = []
    _emit(lines, value, 0)
    return "".join(line + "\n" for line in lines)


def _emit(lines: list[str], value: Any, indent: int) -> None:
    match value:
        case dict():
            for key, item in value.items():
                if isinstance(item, (dict, list, tuple)):
                    lines.append(f"{' ' * indent}{key}: ")
                    _emit(lines, item, indent + 2)
                else:
                    lines.append(f"{' ' * indent}{key}: {item}")
        case list() | tuple():
            for item in value:
                inner: list[str] = []
                _emit(inner, item, indent + 2)
                first = inner[0][indent + 2 :] if inner else ""
                lines.append(f"{' ' * indent}- {first}")
                lines.extend(inner[1:])
        case _:
            lines.append(f"{' ' * indent}{value}")


def sorted_keys(value: Any) -> Any:
    """The same with the keys of all objects in alphabetical order."""
    match value:
        case dict():
            return {key: sorted_keys(value[key]) for key in sorted(value)}
        case list():
            return [sorted_keys(item) for item in value]
        case _:
            return value

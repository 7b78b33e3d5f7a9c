"""How the reference words what is declared: types, values and docstrings as Markdown. Pure."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

Row = Sequence[str]


def gather(kind: Any, named: dict[str, type[msgspec.Struct]]) -> None:
    """The structs that a type is made of, and those that they are made of."""
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        if kind.__name__ not in named:
            named[kind.__name__] = kind
            for field in msgspec.structs.fields(kind):
                gather(field.type, named)
        return
    for argument in get_args(kind):
        gather(argument, named)


def field_row(field: msgspec.structs.FieldInfo) -> Row:
    """Name, type and default of a field of a struct."""
    if field.required:
        default = "required"
    elif field.default_factory is not msgspec.NODEFAULT:
        default = value_words(field.default_factory())
    else:
        default = value_words(field.default)
    return (f"`{field.encode_name}`", type_words(field.type), default)


_PLAIN: Final[dict[Any, str]] = {
    str: "text",
    bool: "yes/no",
    int: "whole number",
    float: "number",
    bytes: "bytes (base64)",
    dict: "object",
    list: "list",
    tuple: "list",
    type(None): "null",
    Any: "anything",
}


def type_words(kind: Any) -> str:
    """A Python type in the words of JSON."""
    if hasattr(kind, "__supertype__"):
        return type_words(kind.__supertype__)
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_words(each) for each in arguments)
    if origin is dict:
        inner = type_words(arguments[1])
        return "object" if inner == "anything" else f"object of {_grouped(inner)}"
    if origin in (list, frozenset, set) or (origin is tuple and arguments[-1] is ...):
        inner = type_words(arguments[0])
        return "list" if inner == "anything" else f"list of {_grouped(inner)}"
    if origin is tuple:
        return "[" + ", ".join(type_words(each) for each in arguments) + "]"
    name = str(getattr(kind, "__name__", kind))
    return f"[{name}](#{name.lower()})" if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) else name


def _grouped(inner: str) -> str:
    return f"({inner})" if " or " in inner or "one of" in inner else inner


def value_words(value: Any) -> str:
    """A default as a cell."""
    match value:
        case None:
            return "none"
        case True | False:
            return "yes" if value else "no"
        case "" | () | []:
            return "empty"
        case list() | tuple():
            return ", ".join(f"`{each}`" for each in value)
        case dict() | frozenset() if not value:
            return "empty"
    return f"`{value}`"


_SOURCE: Final = re.compile(r"Spec: [^.]*\.\s*(Beyond it: )?")
"""Where a declaration comes from: for who changes it, not for who reads the reference."""


def docstring(documented: Any) -> str:
    """A docstring as Markdown; a class without one of its own has none."""
    said = vars(documented).get("__doc__") if inspect.isclass(documented) else documented.__doc__
    if not said or said.startswith(f"{getattr(documented, '__name__', '')}("):
        return ""
    return _SOURCE.sub("", inspect.cleandoc(said)).strip()


def table(heads: Row, rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a table; cells may have any text."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"


def yes_or_no(holds: bool) -> str:
    """A flag as a cell."""
    return "yes" if holds else "no"


def lower_first(text: str) -> str:
    """The sentence inside another one; a word in capitals stays."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def capital(text: str) -> str:
    """The sentence on its own."""
    return text[:1].upper() + text[1:]

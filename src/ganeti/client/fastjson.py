"""JSON at the price of no import: a command must start in the time a bare interpreter takes.

`import json` pulls in `re` and with it half as much as the interpreter's own start. Its C scanner needs none of
that, and what a command sends is small. Where an interpreter lacks the scanner, `json` does the work.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Rules:
    """What the C scanner asks of its context: plain JSON, with Python's own types."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        """`NaN` and the infinities, which Python writes."""
        return float(name)


def loads(data: bytes | str) -> Any:
    """Decode one JSON document. `ValueError` when it is none."""
    text = data.decode() if isinstance(data, bytes) else data
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    text = text.strip(" \t\r\n")
    try:
        value, end = make_scanner(_Rules)(text, 0)  # type: ignore[arg-type]  # it reads attributes, no more
    except StopIteration:
        raise ValueError("this is no JSON") from None
    if end != len(text):
        raise ValueError("there is more after the end of the JSON document")
    return value


def dumps(value: Any) -> str:
    """Encode as compact JSON. `TypeError` for what JSON cannot hold."""
    match value:
        case str():
            return _quoted(value)
        case None:
            return "null"
        case True:
            return "true"
        case False:
            return "false"
        case int():
            return int.__repr__(value)
        case float() if value - value == 0:
            return float.__repr__(value)
        case list() | tuple():
            return "[" + ",".join([dumps(item) for item in value]) + "]"
        case dict():
            return "{" + ",".join([f"{_quoted(str(key))}:{dumps(item)}" for key, item in value.items()]) + "}"
        case _:
            raise TypeError(f"JSON has no {type(value).__name__}")


def _quoted(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        import json

        return json.dumps(text)
    return encode_basestring_ascii(text)

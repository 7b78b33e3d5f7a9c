"""The filter language of lists: text to a tree and back, and a tree to a predicate over rows. Pure; spec: cli.

A tree is JSON data, the form that clients may send as well:

| tree | text |
|---|---|
| `["&", x, y, ...]`, `["\\|", x, y, ...]`, `["!", x]` | `x and y`, `x or y`, `not x` |
| `["?", field]` | `field` |
| `["==", field, value]`, also `!=`, `<`, `<=`, `>`, `>=` | `field == "text"`, `field >= 512` |
| `["=~", field, regex]` | `field =~ m/regex/i` (delimiters `/ # ^ \\|`, flags i and s), `field =* "glob"` |
| `["=[]", field, value]` | `"value" in field` |

`=` is another spelling of `==`; `!~`, `!*` and `not in` are the negations. Values are quoted texts, numbers, and
`true`, `false`, `none`. Errors are `Refused` (wrong_input) with `position` (counted from 1) and what was expected.
"""

from __future__ import annotations

import fnmatch
import math
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused

Tree = list[Any]
"""A filter in its JSON form, after `checked`."""

R = TypeVar("R")
Predicate = Callable[[R], bool]

MAX_DEPTH: Final = 100
MAX_REGEX: Final = 1000
MAX_LENGTH: Final = 100_000

_COMPARISONS: Final = ("==", "!=", "<=", ">=", "<", ">")
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?(?![A-Za-z0-9_.])", re.ASCII)
_OPERATOR: Final = re.compile(r"==|=~|=\*|!=|!~|!\*|<=|>=|=|<|>")
_SPACE: Final = re.compile(r"\s*")
_LITERALS: Final[dict[str, bool | None]] = {"true": True, "false": False, "none": None}
_RESERVED: Final = {"and", "or", "not", "in", *_LITERALS}
_DELIMITERS: Final = "/#^|"
_LOOKS_LIKE_FILTER: Final = re.compile(r"""[\s!"')(/<>=\\~]""")
_LOOKS_LIKE_GLOB: Final = re.compile(r"[*?]")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the arguments of a list command choose: everything, names and globs, or what a filter lets through."""

    names: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    """Regular expressions a name must match as a whole."""
    tree: Tree | None = None

    @property
    def by_name(self) -> bool:
        """Whether only named objects are wanted."""
        return bool(self.names or self.globs)


def selection(arguments: Collection[str], *, force_filter: bool = False) -> Selection:
    """Read the arguments of a list command.

    A lone argument with a space or one of ``! " ' ) ( / < > = \\ ~`` is a filter (with `force_filter` any is), one
    with `*` or `?` a glob; all others are names.
    """
    if force_filter:
        if len(arguments) != 1:
            raise Refused(WRONG_INPUT, f"exactly one filter is needed as argument, not {len(arguments)}")
        return Selection(tree=parse(next(iter(arguments))))
    if len(arguments) == 1 and _LOOKS_LIKE_FILTER.search(next(iter(arguments))):
        return Selection(tree=parse(next(iter(arguments))))
    globs = [text for text in arguments if _LOOKS_LIKE_GLOB.search(text)]
    names = [text for text in arguments if text not in globs]
    return Selection(names=tuple(names), globs=tuple(_host_glob(text) for text in globs))


def parse(text: str) -> Tree:
    """The tree of a filter text."""
    if len(text) > MAX_LENGTH:
        raise Refused(WRONG_INPUT, f"a filter can have {MAX_LENGTH} characters, not {len(text)}")
    reader = _Reader(text)
    tree = reader.alternatives(0)
    reader.end()
    return tree


def printed(tree: Tree) -> str:
    """The text of a checked tree; `parse` makes the same tree of it."""
    match tree:
        case ["&", *parts]:
            return " and ".join(_grouped(part, "&", "|") for part in parts)
        case ["|", *parts]:
            return " or ".join(_grouped(part, "|") for part in parts)
        case ["!", ["=~", field, regex]]:
            return f"{field} !~ {_printed_regex(regex)}"
        case ["!", ["=[]", field, value]]:
            return f"{_printed_value(value)} not in {field}"
        case ["!", part]:
            return f"not {_grouped(part, '&', '|')}"
        case ["?", field]:
            return str(field)
        case ["=~", field, regex]:
            return f"{field} =~ {_printed_regex(regex)}"
        case ["=[]", field, value]:
            return f"{_printed_value(value)} in {field}"
        case [operator, field, value]:
            return f"{field} {operator} {_printed_value(value)}"
        case _:
            raise _malformed(tree)


def checked(data: object, depth: int = 0) -> Tree:
    """A filter that came as JSON in canonical form (`==` for `=`, no one-armed and/or), or `Refused`."""
    if depth > MAX_DEPTH:
        raise Refused(WRONG_INPUT, f"a filter can be nested {MAX_DEPTH} deep, no more")
    match data:
        case [("&" | "|") as operator, first, *rest]:
            parts = [checked(part, depth + 1) for part in (first, *rest)]
            return [operator, *parts] if rest else parts[0]
        case ["!", part]:
            return ["!", checked(part, depth + 1)]
        case ["?", str(field)]:
            return ["?", _checked_field(field)]
        case ["=~", str(field), str(regex)]:
            compiled_regex(regex)
            return ["=~", _checked_field(field), regex]
        case [("=" | "==") as operator, str(field), value] if _is_value(value):
            return ["==", _checked_field(field), value]
        case [("=[]" | "!=" | "<" | "<=" | ">" | ">=") as operator, str(field), value] if _is_value(value):
            return [operator, _checked_field(field), value]
        case _:
            raise _malformed(data)


def leaves(tree: Tree) -> Iterator[Tree]:
    """Every condition on a single field, left to right."""
    if tree[0] in ("&", "|", "!"):
        for part in tree[1:]:
            yield from leaves(part)
    else:
        yield tree


def fields_of(tree: Tree) -> frozenset[str]:
    """The fields a filter looks at."""
    return frozenset(str(leaf[1]) for leaf in leaves(tree))


def conjuncts(tree: Tree | None) -> list[Tree]:
    """The parts that must all hold, each of which may be tried on its own."""
    if tree is None:
        return []
    if tree[0] == "&":
        return [found for part in tree[1:] for found in conjuncts(part)]
    return [tree]


def compile(
    tree: Tree, get_field: Callable[[str], Callable[[R], Any]], *, host_fields: Collection[str] = ()
) -> Predicate[R]:
    """A predicate over rows. `get_field` gives, once for each field, what reads its value off a row.

    None stands for a value that is absent: only `!=` and a negation are true of it. For `host_fields` a short
    name equals the full one. A regex is searched in texts and numbers, and in each item of a list.
    """
    match tree:
        case [("&" | "|") as operator, *parts]:
            tests = [compile(part, get_field, host_fields=host_fields) for part in parts]
            if operator == "&":
                return lambda row: all(test(row) for test in tests)
            return lambda row: any(test(row) for test in tests)
        case ["!", part]:
            test = compile(part, get_field, host_fields=host_fields)
            return lambda row: not test(row)
        case ["?", field]:
            get = get_field(field)
            return lambda row: bool(get(row))
        case ["=~", field, regex]:
            get, search = get_field(field), compiled_regex(regex).search
            return lambda row: _searched(search, get(row))
        case ["=[]", field, value]:
            get, same = get_field(field), _equality(value, is_host=field in host_fields)
            return lambda row: _contains(get(row), same)
        case [("==" | "!=") as operator, field, value]:
            get, same = get_field(field), _equality(value, is_host=field in host_fields)
            if operator == "==":
                return lambda row: same(get(row))
            return lambda row: not same(get(row))
        case [("<" | "<=" | ">" | ">=") as operator, field, value]:
            get, holds = get_field(field), _ORDER[operator]
            return lambda row: _in_order(holds, get(row), value)
        case _:
            raise _malformed(tree)


def compiled_regex(regex: str) -> re.Pattern[str]:
    """A regular expression ready to search, or `Refused` for one that is wrong or could take forever.

    The latter is one that repeats without limit what itself repeats without limit, like `(a+)+`: the daemon that
    tries it would serve nobody else meanwhile.
    """
    if len(regex) > MAX_REGEX:
        raise Refused(WRONG_INPUT, f"a regular expression can have {MAX_REGEX} characters, not {len(regex)}")
    if _repeats_repetition(regex):
        raise Refused(
            WRONG_INPUT,
            f"regular expression '{regex}' repeats a group that repeats something itself; write it with one repetition",
            regex=regex,
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "possible nested set": the user's business, not a log's
            return re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(WRONG_INPUT, f"'{regex}' is not a regular expression: {error}", regex=regex) from None


class _Reader:
    """Recursive descent over a text; every method leaves `at` behind what it has read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip_space()

    def alternatives(self, depth: int) -> Tree:
        return self._chain("or", "|", self._conditions, depth)

    def end(self) -> None:
        if self._at < len(self._text):
            self._expected("'and', 'or' or the end")

    def _conditions(self, depth: int) -> Tree:
        return self._chain("and", "&", self._condition, depth)

    def _chain(self, word: str, operator: str, part: Callable[[int], Tree], depth: int) -> Tree:
        parts = [part(depth)]
        while self._takes_word(word):
            parts.append(part(depth))
        return [operator, *parts] if len(parts) > 1 else parts[0]

    def _condition(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            self._expected(f"a filter that is nested at most {MAX_DEPTH} deep")
        if self._takes_word("not"):
            return ["!", self._condition(depth + 1)]
        if self._takes("("):
            tree = self.alternatives(depth + 1)
            if not self._takes(")"):
                self._expected("')'")
            return tree
        word = self._peeked_word()
        if word is None or word in _LITERALS:
            return self._membership()
        return self._comparison(self._field())

    def _membership(self) -> Tree:
        value = self._value("a field name, a value followed by 'in', 'not' or '('")
        is_negated = self._takes_word("not")
        if not self._takes_word("in"):
            self._expected("'in'" if is_negated else "'in' or 'not in'")
        tree: Tree = ["=[]", self._field(), value]
        return ["!", tree] if is_negated else tree

    def _comparison(self, field: str) -> Tree:
        found = _OPERATOR.match(self._text, self._at)
        if found is None:
            return ["?", field]
        self._move(found.end())
        match found.group():
            case "=~":
                return ["=~", field, self._regex()]
            case "!~":
                return ["!", ["=~", field, self._regex()]]
            case "=*":
                return ["=~", field, _glob(self._string("a glob in quotes"))]
            case "!*":
                return ["!", ["=~", field, _glob(self._string("a glob in quotes"))]]
            case "=":
                return ["==", field, self._value("a value: a number, or a text in quotes")]
            case operator:
                return [operator, field, self._value("a value: a number, or a text in quotes")]

    def _field(self) -> str:
        word = self._peeked_word()
        if word is None or word in _RESERVED:
            self._expected("a field name")
        self._move(self._at + len(word))
        return word

    def _value(self, expected: str) -> Any:
        if self._text[self._at : self._at + 1] in ("'", '"'):
            return self._string(expected)
        word = self._peeked_word()
        if word in _LITERALS:
            self._move(self._at + len(word))
            return _LITERALS[word]
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._expected(expected)
        digits = found.group()
        try:
            number = float(digits) if found.group(1) or found.group(2) else int(digits)
        except ValueError:
            self._expected("a number with fewer digits")
        if isinstance(number, float) and not math.isfinite(number):
            self._expected("a smaller number")
        self._move(found.end())
        return number

    def _string(self, expected: str) -> str:
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"'):
            self._expected(expected)
        body, end = self._delimited(quote)
        self._move(end)
        return re.sub(r"\\(.)", r"\1", body, flags=re.DOTALL)

    def _regex(self) -> str:
        start = self._at
        if self._text[self._at : self._at + 1] in ("'", '"'):
            regex = self._string("a regular expression")
        else:
            regex = self._delimited_regex()
        try:
            compiled_regex(regex)
        except Refused as refused:
            raise Refused(
                refused.code, f"filter, position {start + 1}: {refused.message}", position=start + 1
            ) from None
        return regex

    def _delimited_regex(self) -> str:
        if self._text[self._at : self._at + 1] == "m":
            self._at += 1
        delimiter = self._text[self._at : self._at + 1]
        if not delimiter or delimiter not in _DELIMITERS:
            self._expected("a regular expression like m/.../ (or between # ^ |)")
        body, end = self._delimited(delimiter)
        flags = re.compile(r"\w*").match(self._text, end)
        letters = flags.group() if flags else ""
        if set(letters) - set("is"):
            self._at = end
            self._expected("the flags i or s")
        self._move(end + len(letters))
        unescaped = re.sub(r"\\(.)", lambda m: m[1] if m[1] == delimiter else m[0], body, flags=re.DOTALL)
        return f"(?{''.join(sorted(set(letters)))}){unescaped}" if letters else unescaped

    def _delimited(self, delimiter: str) -> tuple[str, int]:
        """What lies between here and the closing delimiter, escapes untouched, and the place behind it."""
        end = self._at + 1
        while end < len(self._text) and self._text[end] != delimiter:
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            self._at = len(self._text)
            self._expected(f"the closing {delimiter}")
        return self._text[self._at + 1 : end], end + 1

    def _peeked_word(self) -> str | None:
        found = _FIELD.match(self._text, self._at)
        return found.group() if found else None

    def _takes_word(self, word: str) -> bool:
        if self._peeked_word() != word:
            return False
        self._move(self._at + len(word))
        return True

    def _takes(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._move(self._at + len(sign))
        return True

    def _move(self, to: int) -> None:
        self._at = to
        self._skip_space()

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _expected(self, expected: str) -> NoReturn:
        rest = self._text[self._at : self._at + 20]
        found = f"'{rest}'" if rest else "the end"
        raise Refused(
            WRONG_INPUT,
            f"filter, position {self._at + 1}: expected {expected}, found {found}",
            position=self._at + 1,
            expected=expected,
        )


_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _in_order(holds: Callable[[Any, Any], bool], found: object, value: object) -> bool:
    both_texts = isinstance(found, str) and isinstance(value, str)
    both_numbers = isinstance(found, (int, float)) and isinstance(value, (int, float))
    return (both_texts or both_numbers) and holds(found, value)


def _equality(value: object, *, is_host: bool) -> Callable[[object], bool]:
    if is_host and isinstance(value, str):
        name = value.lower()
        leading = name + "."
        return lambda found: found == name or (isinstance(found, str) and found.startswith(leading))
    if isinstance(value, bool) or value is None:
        return lambda found: found is value
    return lambda found: not isinstance(found, bool) and found == value


def _contains(found: object, same: Callable[[object], bool]) -> bool:
    return isinstance(found, (list, tuple)) and any(same(item) for item in found)


def _searched(search: Callable[[str], object], found: object) -> bool:
    match found:
        case str():
            return search(found) is not None
        case bool() | None:
            return False
        case int() | float():
            return search(str(found)) is not None
        case list() | tuple():
            return any(isinstance(item, str) and search(item) is not None for item in found)
        case _:
            return False


def _repeats_repetition(regex: str) -> bool:
    """Whether an unlimited repetition stands directly around another one. Reads groups, sets and escapes only."""
    inner = [False]
    just_closed = False
    at = 0
    while at < len(regex):
        sign = regex[at]
        unlimited = sign in "*+" or (sign == "{" and re.compile(r"\{\d*,\}").match(regex, at) is not None)
        if unlimited:
            if just_closed:
                return True
            inner[-1] = True
        if sign == "(":
            inner.append(False)
        just_closed = False
        if sign == ")" and len(inner) > 1:
            just_closed = inner.pop()
            inner[-1] = inner[-1] or just_closed
        if sign == "[":
            at = _end_of_set(regex, at)
        at += 2 if sign == "\\" else 1
    return False


def _end_of_set(regex: str, start: int) -> int:
    at = start + 1
    at += regex.startswith("^", at)
    at += regex.startswith("]", at)
    while at < len(regex) and regex[at] != "]":
        at += 2 if regex[at] == "\\" else 1
    return at


def _glob(pattern: str) -> str:
    return _anchored(_glob_body(pattern))


def _host_glob(pattern: str) -> str:
    """A glob for names: the domain may be left out."""
    return _anchored(_glob_body(pattern.lower()) + r"(\..*)?")


def _glob_body(pattern: str) -> str:
    collapsed = re.sub(r"\*+", "*", pattern)
    return fnmatch.translate(collapsed).removeprefix("(?s:").removesuffix(r")\Z")


def _anchored(body: str) -> str:
    return rf"^(?s:{body})\Z"


def _grouped(part: Tree, *operators: str) -> str:
    return f"({printed(part)})" if part[0] in operators else printed(part)


def _printed_regex(regex: str) -> str:
    for delimiter in _DELIMITERS:
        if delimiter not in regex and not re.search(r"(?<!\\)(\\\\)*\\\Z", regex):
            return f"m{delimiter}{regex}{delimiter}"
    return _printed_value(regex)


def _printed_value(value: object) -> str:
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "none"}[value]
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case _:
            return repr(value)


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _checked_field(field: str) -> str:
    if not _FIELD.fullmatch(field) or field in _RESERVED:
        raise Refused(WRONG_INPUT, f"filter: '{field}' is not a field name", field=field)
    return field


def _malformed(data: object) -> Refused:
    return Refused(
        WRONG_INPUT,
        f"filter: expected a list that begins with one of & | ! ? == != < <= > >= =~ =[] and has what belongs to it, found {str(data)[:60]}",
    )

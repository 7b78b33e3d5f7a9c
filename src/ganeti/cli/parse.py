"""Turn the words of a command line into values, as declared. Pure.

The grammar is the one people know: short options in bundles, `--name=value`, long names cut short as long as they are
unambiguous, options and arguments in any order, `--` ends the options.
"""

from __future__ import annotations

from ganeti.cli import declare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ganeti.cli.declare import Command, Option


class Usage(Exception):
    """The command line is not as declared. The text says what is wrong."""


class Parsed:
    """Values by option (defaults filled in), arguments, and the words fit for a log (secrets masked)."""

    __slots__ = ("arguments", "loggable", "options")

    def __init__(self, options: dict[str, Any], arguments: list[str], loggable: list[str]) -> None:
        self.options = options
        self.arguments = arguments
        self.loggable = loggable


def parse(command: Command, words: Sequence[str]) -> Parsed:
    """Read the words after the command's name. Raises `Usage`; `Refused` for options that are not served yet."""
    by_name = {name: option for option in command.options for name in option.names}
    values: dict[str, Any] = {}
    for option in command.options:
        values.setdefault(option.dest, option.default)
    arguments: list[str] = []
    loggable: list[str] = []
    rest = iter(words)
    for word in rest:
        loggable.append(word)
        if word == "--":
            arguments.extend(rest_words := list(rest))
            loggable.extend(rest_words)
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            option = by_name.get(name) or _abbreviated(command.options, name)
            if option.kind == declare.FLAG:
                if equals:
                    raise Usage(f"option {name} takes no value")
                _store(values, option, None)
                continue
            if not equals:
                value = _next(rest, name, loggable)
            _mask(loggable, option, name if equals else "")
            _store(values, option, value)
        elif word.startswith("-") and word != "-":
            _bundle(word, by_name, rest, values, loggable)
        else:
            arguments.append(word)
    return Parsed(values, arguments, loggable)


def _bundle(word: str, by_name: dict[str, Option], rest: Any, values: dict[str, Any], loggable: list[str]) -> None:
    """`-fv`, `-s10G`, `-s 10G`."""
    for position in range(1, len(word)):
        name = "-" + word[position]
        option = by_name.get(name)
        if option is None:
            raise Usage(f"there is no option {name}")
        if option.kind == declare.FLAG:
            _store(values, option, None)
            continue
        attached = word[position + 1 :]
        value = attached or _next(rest, name, loggable)
        _mask(loggable, option, word[: position + 1] if attached else "")
        _store(values, option, value)
        return


def _next(rest: Any, name: str, loggable: list[str]) -> str:
    value: str | None = next(rest, None)
    if value is None:
        raise Usage(f"option {name} needs a value")
    loggable.append(value)
    return value


def _mask(loggable: list[str], option: Option, prefix: str) -> None:
    if option.kind == declare.PRIVATE:
        separator = "=" if prefix.startswith("--") else ""
        loggable[-1] = f"{prefix}{separator}***"


def _abbreviated(options: Sequence[Option], prefix: str) -> Option:
    found = [option for option in options if any(name.startswith(prefix) for name in option.names)]
    if len(found) > 1:
        found = [option for option in found if not option.extra] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise Usage(f"there is no option {prefix}{_similar(prefix, options)}")
    names = sorted(name for option in found for name in option.names if name.startswith(prefix))
    raise Usage(f"option {prefix} could be {' or '.join(names)}")


def _similar(name: str, options: Sequence[Option]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [known for option in options for known in option.names], n=1)
    return f"; is {close[0]} meant?" if close else ""


def _store(values: dict[str, Any], option: Option, text: str | None) -> None:
    if option.refused:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, f"{option.names[-1]} is not served yet: {option.refused}", option=option.names[-1])
    value: Any = (not option.off) if text is None else convert(option, text)
    if option.repeat and option.kind == declare.FLAG:
        values[option.dest] = int(values[option.dest]) + 1
    elif option.repeat:
        values[option.dest] = [*(values[option.dest] or []), value]
    else:
        values[option.dest] = value


def convert(option: Option, text: str) -> Any:
    """The value of an option from its text. Raises `Usage` naming the option."""
    name = option.names[-1]
    match option.kind:
        case declare.STRING:
            return text
        case declare.INT:
            return _number(name, text, int, "a whole number")
        case declare.FLOAT:
            return _number(name, text, float, "a number")
        case declare.RATIO:
            return text if text == "default" else _number(name, text, float, "a number or 'default'")
        case declare.SIZE:
            return size_mib(text)
        case declare.BOOL:
            return _bool(name, text)
        case declare.CHOICE:
            if text not in option.choices:
                raise Usage(f"option {name} takes {', '.join(option.choices)}; not '{text}'")
            return text
        case declare.LIST:
            return split_list(text)
        case declare.KEYVAL | declare.PRIVATE:
            return keyval(name, text)
        case declare.IDENT:
            return ident_keyval(name, text)
        case declare.BOUNDS:
            return bounds(name, text)
        case declare.UIDS:
            return uid_ranges(name, text)
        case other:
            raise AssertionError(f"option {name} is declared with the unknown kind '{other}'")


def size_mib(text: str) -> int:
    """A size in MiB. Raises `Refused`."""
    from ganeti.base.units import parse_mib

    return parse_mib(text)


def _number(name: str, text: str, kind: type[int] | type[float], what: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise Usage(f"option {name} takes {what}; not '{text}'") from None
    if value - value != 0:
        raise Usage(f"option {name} takes {what}; not '{text}'")
    return value


def _bool(name: str, text: str) -> bool:
    word = text.lower()
    if word in ("yes", "true", "y", "1", "on"):
        return True
    if word in ("no", "false", "n", "0", "off"):
        return False
    raise Usage(f"option {name} takes yes or no; not '{text}'")


def split_list(text: str) -> list[str]:
    """The parts between commas, without empty ones."""
    return [part.strip() for part in split(text, ",") if part.strip()]


def split(text: str, separator: str) -> list[str]:
    """Split where `separator` stands unescaped, and take one level of backslashes away."""
    parts, current, position = [], "", 0
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            current += text[position + 1]
            position += 2
        elif text.startswith(separator, position):
            parts.append(current)
            current = ""
            position += len(separator)
        else:
            current += text[position]
            position += 1
    return [*parts, current]


def keyval(name: str, text: str) -> dict[str, Any]:
    """Read `k=v,k2=v2`; bare `k` is true, `no_k` false, `-k` null; a backslash escapes the next character."""
    result: dict[str, Any] = {}
    for part in split(text, ",") if text else []:
        key, equals, value = part.partition("=")
        meant: Any = value
        if not equals:
            key, meant = _bare(key)
        if not key:
            raise Usage(f"option {name}: '{text}' is no list of KEY=VALUE: there is an empty key")
        if key in result:
            raise Usage(f"option {name} sets '{key}' twice")
        result[key] = meant
    return result


def _bare(key: str) -> tuple[str, bool | None]:
    if key.startswith("no_"):
        return key[3:], False
    if key.startswith("-"):
        return key[1:], None
    return key, True


def ident_keyval(name: str, text: str) -> tuple[str, dict[str, Any] | bool | None]:
    """Read `IDENT:k=v,...` as (IDENT, values); `no_IDENT` as (IDENT, False), `-IDENT` as (IDENT, None).

    `-1` is an index, not a removal of `1`.
    """
    ident, _, rest = text.partition(":")
    negated = ident.startswith("no_") or (ident.startswith("-") and not ident[1:2].isdigit())
    if not negated:
        return ident, keyval(name, rest)
    if rest:
        raise Usage(f"option {name}: '{ident}' alone removes or resets; it takes no values, but got '{rest}'")
    ident, meant = _bare(ident)
    return ident, meant


def bounds(name: str, text: str) -> list[dict[str, dict[str, Any]]]:
    """Read `min:k=v,...;max:k=v,...//min:...` as a list of `{"min": {...}, "max": {...}}`."""
    result = []
    for pair in text.split("//"):
        entry: dict[str, dict[str, Any]] = {}
        for part in pair.split(";"):
            ident, values = ident_keyval(name, part)
            if not isinstance(values, dict) or ident not in ("min", "max") or ident in entry:
                raise Usage(f"option {name} takes min:...;max:..., pairs parted by //; not '{pair}'")
            entry[ident] = values
        if len(entry) != 2:
            raise Usage(f"option {name} needs both min and max in '{pair}'")
        result.append(entry)
    return result


def uid_ranges(name: str, text: str) -> list[list[int]]:
    """Read `1000-1010,2000` as `[[1000, 1010], [2000, 2000]]`."""
    result = []
    for part in split_list(text):
        low, dash, high = part.partition("-")
        first = _number(name, low, int, "user ids and ranges as 1000-1010,2000")
        last = _number(name, high, int, "user ids and ranges as 1000-1010,2000") if dash else first
        if last < first:
            raise Usage(f"option {name}: the range {part} ends before it begins")
        result.append([int(first), int(last)])
    return result


def check_arguments(command: Command, arguments: Sequence[str]) -> None:
    """Raise `Usage` unless there are as many arguments as declared, and choices are among the choices."""
    least = sum(argument.least for argument in command.arguments)
    most = [argument.most for argument in command.arguments]
    if len(arguments) < least:
        missing, have = [], len(arguments)
        for argument in command.arguments:
            if have < argument.least:
                missing.append(argument.name)
            have = max(0, have - argument.least)
        raise Usage(f"missing: {' '.join(missing)}")
    if None not in most:
        allowed = sum(number for number in most if number is not None)
        if len(arguments) > allowed:
            surplus = " ".join(arguments[allowed:])
            raise Usage(f"takes no arguments: {surplus}" if not allowed else f"too many arguments: {surplus}")
    for argument, given in zip(command.arguments, arguments, strict=False):
        if argument.choices and given not in argument.choices:
            raise Usage(f"'{given}' is none of {', '.join(argument.choices)}")

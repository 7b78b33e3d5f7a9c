"""Help texts from declarations. Imported only when help is shown."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

from ganeti.cli import declare
from ganeti.cli.declare import Argument, Command, Group, Option

WIDTH = 79
LONGEST_CHOICES = 24


def group_help(group: Group) -> str:
    """The list of commands."""
    width = max(len(name) for name in group.commands)
    lines = [
        f"Usage: {group.program} {{command}} [options...] [argument...]",
        f"{group.program} <command> --help to see details, or man {group.program}",
        "",
        "Commands:",
    ]
    for name in group.commands:
        text = textwrap.wrap(group.command(name).summary, WIDTH - width - 4)
        lines.append(f" {name:<{width}} - {text[0]}")
        lines.extend(" " * (width + 4) + line for line in text[1:])
    aliases = sorted((alias, name) for alias, name in group.aliases.items() if name in group.commands)
    if aliases:
        shown = ", ".join(f"{alias} = {name}" for alias, name in aliases)
        lines += ["", f"Also: {shown}"]
    return "\n".join([*lines, ""])


def similar(name: str, known: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return close[0] if close else None


def usage_line(group: Group, name: str, command: Command) -> str:
    """One line: how the command is written."""
    words = ["Usage:", group.program, name, "[options...]", *(argument_words(a) for a in command.arguments)]
    return " ".join(words)


def argument_words(argument: Argument) -> str:
    """An argument as usage shows it: `{NAME}`, `[NAME...]`."""
    shown = "|".join(argument.choices) if argument.choices else argument.name
    many = "" if argument.most == 1 else "..."
    return f"{{{shown}{many}}}" if argument.least else f"[{shown}{many}]"


def option_words(option: Option) -> str:
    """An option with its value as help shows it."""
    if option.kind == declare.FLAG:
        return ", ".join(option.names)
    value = option_value(option)
    return ", ".join(f"{name}={value}" if name.startswith("--") else f"{name} {value}" for name in option.names)


def option_value(option: Option) -> str:
    """What stands for the value: the choices when they are few, else a word."""
    choices = "|".join(option.choices)
    return choices if choices and len(choices) <= LONGEST_CHOICES else option.metavar


def option_text(option: Option) -> str:
    """What an option is for, its choices, whether it may be repeated, its default, and if it is not served."""
    text = option.help
    if option.choices and option_value(option) == option.metavar:
        text += f": {', '.join(option.choices)}"
    if option.repeat and option.kind != declare.FLAG:
        text += "; may be given several times"
    if option.default not in (None, False, True, "", 0):
        text += f" (default: {option.default})"
    if option.refused:
        text += f" [not served yet: {option.refused}]"
    return text


def command_help(group: Group, name: str, command: Command) -> str:
    """The whole help of one command."""
    lines = [usage_line(group, name, command), ""]
    lines += textwrap.wrap(f"{command.summary}.", WIDTH)
    for paragraph in filter(None, command.description.split("\n\n")):
        lines += ["", *textwrap.wrap(" ".join(paragraph.split()), WIDTH)]
    lines += ["", "Options:"]
    for option in command.options:
        lines += _option_lines(option)
    if command.examples:
        lines += ["", "EXAMPLES"]
        for what, line in command.examples:
            lines += ["", *textwrap.wrap(f"{what}:", WIDTH, initial_indent="  ", subsequent_indent="  "), f"    {line}"]
    return "\n".join([*lines, ""])


def _option_lines(option: Option) -> list[str]:
    words, indent = option_words(option), 30
    text = textwrap.wrap(option_text(option), WIDTH - indent)
    if len(words) + 4 <= indent:
        return [f"  {words:<{indent - 2}}{text[0]}", *(" " * indent + line for line in text[1:])]
    return [f"  {words}", *(" " * indent + line for line in text)]

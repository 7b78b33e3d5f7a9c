"""Write the manual pages of all commands: `python -m ganeti.cli.man DIRECTORY` makes gnt-instance.8 and so on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from ganeti.base.version import software
from ganeti.cli import declare
from ganeti.cli.declare import Command, Group, Option
from ganeti.cli.help import argument_words, option_text, option_value
from ganeti.cli.programs import GROUPS

EXIT_STATUSES = (
    ("0", "done"),
    ("1", "any failure, a failed job, or a command line that is not right"),
    ("11", "this node is not the master"),
    ("12", "this host is in no cluster"),
    ("13", "a question about several jobs was answered with no"),
    ("14", "a list was asked for a column that is not known"),
)

FILES = (
    ("/var/log/ganeti/commands.log", "every command with its arguments and its user; secrets are left out"),
    ("/run/ganeti/socket/ganeti-master", "where the master daemon answers"),
)

VALUES = """KEY=VALUE,... sets parameters; KEY alone means true, no_KEY false, -KEY or the value \\[aq]default\\[aq] gives
it back to the level above. A comma in a value is written as \\e,. SIZE is a number of MiB, or one with the suffix M, G
or T. Long options may be cut short as long as they stay unambiguous."""


def page(group: Group) -> str:
    """One page in roff."""
    return "\n".join([*_page(group), ""])


def _page(group: Group) -> Iterator[str]:
    yield f'.TH {group.program.upper()} 8 "" "ganeti {_escaped(software())}" "Ganeti"'
    yield ".SH NAME"
    yield f"{group.program} \\- {_escaped(group.summary)}"
    yield ".SH SYNOPSIS"
    yield f".B {group.program}"
    yield ".I command"
    yield "[options...] [arguments...]"
    yield ".SH COMMANDS"
    for name in group.commands:
        yield from _command(group, name, group.command(name))
    yield ".SH VALUES"
    yield VALUES
    yield ".SH EXIT STATUS"
    yield from _pairs(EXIT_STATUSES)
    yield ".SH FILES"
    yield from _pairs(FILES)


def _command(group: Group, name: str, command: Command) -> Iterator[str]:
    aliases = sorted(alias for alias, meant in group.aliases.items() if meant == name)
    yield f".SS {name}" + (f" (also: {', '.join(aliases)})" if aliases else "")
    words = " ".join(argument_words(argument) for argument in command.arguments)
    yield f"\\fB{group.program} {_escaped(name)}\\fR [options...] {_escaped(words)}".rstrip()
    yield ".PP"
    yield f"{_escaped(command.summary)}."
    for paragraph in filter(None, command.description.split("\n\n")):
        yield ".PP"
        yield _escaped(" ".join(paragraph.split()))
    for option in command.options:
        yield ".TP"
        yield _option(option)
        yield _escaped(option_text(option))
    for what, line in command.examples:
        yield ".PP"
        yield f"{_escaped(what)}:"
        yield ".PP"
        yield ".nf"
        yield _escaped(line)
        yield ".fi"


def _option(option: Option) -> str:
    value = "" if option.kind == declare.FLAG else _escaped(option_value(option))
    shown = []
    for name in option.names:
        between = "" if not value else "=" if name.startswith("--") else " "
        shown.append(f"\\fB{_escaped(name)}\\fR{between}" + (f"\\fI{value}\\fR" if value else ""))
    return ", ".join(shown)


def _pairs(pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, text in pairs:
        yield ".TP"
        yield f".B {_escaped(term)}"
        yield _escaped(text)


def _escaped(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\[aq]")
    return f"\\&{text}" if text.startswith(".") else text


def main(directory: str) -> None:
    """Write all pages."""
    os.makedirs(directory, exist_ok=True)
    for group in GROUPS:
        with open(os.path.join(directory, f"{group.program}.8"), "w", encoding="utf-8") as file:
            file.write(page(group))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ganeti.cli.man DIRECTORY")
    main(sys.argv[1])

"""Write the completion of all commands for bash: `python -m ganeti.cli.completion > /etc/bash_completion.d/ganeti`.

The file is static: programs, commands, options and choices are in it, so nothing is started to offer them. Only for
names of instances, nodes, jobs and operating systems it asks the cluster.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

from ganeti.cli import declare
from ganeti.cli.declare import Argument, Option
from ganeti.cli.programs import GROUPS, commands

SOURCES = {
    "instance": "gnt-instance list --no-headers -o name",
    "node": "gnt-node list --no-headers -o name",
    "job": "gnt-job list --no-headers -o id",
    "os": "gnt-os list --no-headers",
}

_HEAD = """# Completion of the gnt-* commands for bash. Generated from their declarations; do not edit.
"""

_FUNCTION = r"""
_ganeti_names() {
  case "$1" in
%(sources)s
    *) printf '%%s\n' "$1" ;;
  esac
}

_ganeti() {
  local program=${COMP_WORDS[0]##*/} current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} offer=
  # bash takes the equals sign of --option=value for a word of its own
  if [[ $current == = ]]; then
    current=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "${_ganeti_commands[$program]} --help --version" -- "$current")
    return
  fi
  local command=${COMP_WORDS[1]}
  command=${_ganeti_aliases["$program $command"]:-$command}
  local key="$program $command"
  if [[ -n ${_ganeti_values["$key $before"]+x} ]]; then
    offer=${_ganeti_values["$key $before"]}
  elif [[ $current == -* ]]; then
    offer=${_ganeti_options[$key]}
  else
    offer=${_ganeti_arguments[$key]}
  fi
  if [[ $offer == @file ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$(_ganeti_names "$offer")" -- "$current")
}

complete -F _ganeti %(programs)s
"""


def script() -> str:
    """The whole file."""
    sources = "\n".join(f"    @{what}) {command} 2>/dev/null ;;" for what, command in SOURCES.items())
    programs = " ".join(group.program for group in GROUPS)
    tables = "\n".join(line for name, entries in _tables() for line in _table(name, entries))
    return _HEAD + tables + "\n" + _FUNCTION % {"sources": sources, "programs": programs}


def _tables() -> Iterator[tuple[str, dict[str, str]]]:
    yield (
        "commands",
        {group.program: " ".join(sorted([*group.commands, *group.aliases])) for group in GROUPS},
    )
    yield (
        "aliases",
        {f"{group.program} {alias}": name for group in GROUPS for alias, name in sorted(group.aliases.items())},
    )
    options, arguments, values = {}, {}, {}
    for group, name, command in commands():
        key = f"{group.program} {name}"
        options[key] = " ".join(word for option in command.options for word in option.names if word.startswith("--"))
        arguments[key] = next(filter(None, map(_offered, command.arguments)), "")
        for option in command.options:
            if option.kind != declare.FLAG:
                values.update({f"{key} {word}": _offered(option) for word in option.names})
    yield "options", options
    yield "arguments", arguments
    yield "values", values


def _offered(declared: Option | Argument) -> str:
    """Words, or where they come from."""
    if declared.choices:
        return " ".join(declared.choices)
    if isinstance(declared, Option) and declared.kind == declare.BOOL:
        return "yes no"
    return f"@{declared.complete}" if declared.complete in (*SOURCES, "file") else ""


def _table(name: str, entries: dict[str, str]) -> Iterator[str]:
    yield f"declare -gA _ganeti_{name}=("
    for key, value in entries.items():
        yield f"  [{shlex.quote(key)}]={shlex.quote(value)}"
    yield ")"


if __name__ == "__main__":
    sys.stdout.write(script())

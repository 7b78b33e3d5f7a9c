"""Write the reference from the declarations: `python -m ganeti.main.reference DIRECTORY` makes Markdown pages.

What a page says is read off the code that does it: commands, operations, parameters, columns of lists, node calls. Output
is the same at every run; a test compares it with the pages in docs/reference.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

import ganeti.ops
from ganeti.cli import declare
from ganeti.cli.declare import Command, Group, Option
from ganeti.cli.help import argument_words, option_text, option_words
from ganeti.cli.man import EXIT_STATUSES, VALUES
from ganeti.cli.programs import GROUPS, commands
from ganeti.contract.calls import Call, reply_type
from ganeti.contract.calls.codec import call_types
from ganeti.contract.operation import REGISTRY, Operation, OpParams
from ganeti.contract.view import View
from ganeti.main.catalog import build_catalog
from ganeti.main.wording import (
    Row,
    capital,
    docstring,
    field_row,
    gather,
    lower_first,
    table,
    type_words,
    value_words,
    yes_or_no,
)
from ganeti.master.queries import engine
from ganeti.master.queries.fields import Field, natural
from ganeti.model import effective, policy
from ganeti.model.objects import Cluster, Uuid
from ganeti.model.params import Param
from ganeti.model.picture import Picture

MADE_BY: Final = "<!-- Made by `make docs` from the declarations in the code; do not edit. -->"


def pages() -> dict[str, str]:
    """Every page: its file name and its text."""
    made: dict[str, Callable[[], Iterator[str]]] = {
        "README.md": _index,
        "operations.md": _operations,
        "parameters.md": _parameters,
        "fields.md": _fields,
        "node-calls.md": _node_calls,
    }
    result = {name: _page(write()) for name, write in made.items()}
    for group in GROUPS:
        result[f"{group.program}.md"] = _page(_commands(group))
    return result


def main(directory: str) -> None:
    """Write all pages, and remove those that are not made any more."""
    home = Path(directory)
    home.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in home.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (home / name).write_text(text, encoding="utf-8")


def _page(lines: Iterable[str]) -> str:
    return "\n".join([MADE_BY, "", *lines]).rstrip("\n") + "\n"


def _index() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Made from the declarations in the code. For how to begin see the [tutorial](../tutorial.md), for what to do"
    yield "when something goes wrong see [operating](../operating.md)."
    yield ""
    yield "## Commands"
    yield ""
    for group in GROUPS:
        yield f"- [{group.program}]({group.program}.md): {lower_first(group.summary)}"
    yield ""
    yield "## Beneath the commands"
    yield ""
    yield "- [Operations](operations.md): what a job is made of, with parameters, locks, and what a crash does to it"
    yield "- [Parameters](parameters.md): of hypervisors, instances, network interfaces, nodes and disks; the policy"
    yield "- [Fields](fields.md): the columns of lists, for `-o` and for filters"
    yield "- [Node calls](node-calls.md): what the master asks of nodes"
    yield ""
    yield "## Values on the command line"
    yield ""
    yield VALUES.replace("\\[aq]", "'").replace("\\e", "\\")
    yield ""
    yield "## Exit status"
    yield ""
    yield from table(("status", "meaning"), EXIT_STATUSES)


def _commands(group: Group) -> Iterator[str]:
    yield f"# {group.program}"
    yield ""
    yield f"{capital(group.summary).rstrip('.')}."
    yield ""
    yield from table(
        ("command", "does"),
        [(f"[{name}](#{name})", group.command(name).summary) for name in group.commands],
    )
    if group.later:
        yield ""
        yield f"Not there yet: {', '.join(group.later)}."
    yield ""
    yield "Every command also takes:"
    yield ""
    yield from _option_table(declare.EVERY_COMMAND)
    for name in group.commands:
        yield from _command(group, name, group.command(name))


def _command(group: Group, name: str, command: Command) -> Iterator[str]:
    words = [group.program, name, "[options...]", *(argument_words(argument) for argument in command.arguments)]
    aliases = sorted(alias for alias, meant in group.aliases.items() if meant == name)
    yield ""
    yield f"## {name}"
    yield ""
    yield f"    {' '.join(words)}"
    yield ""
    yield f"{command.summary.rstrip('.')}."
    if aliases:
        yield f"Also: {', '.join(aliases)}."
    for paragraph in filter(None, command.description.split("\n\n")):
        yield ""
        yield " ".join(paragraph.split())
    if command.op:
        yield ""
        yield f"Operation: [{command.op}](operations.md#{command.op.lower()})."
    own = [option for option in command.options if option not in declare.EVERY_COMMAND]
    if own:
        yield ""
        yield from _option_table(own)
    for what, line in command.examples:
        yield ""
        yield f"{what.rstrip(':')}:"
        yield ""
        yield f"    {line}"


def _option_table(options: Iterable[Option]) -> Iterator[str]:
    yield from table(("option", "meaning"), [(f"`{option_words(option)}`", option_text(option)) for option in options])


def _operations() -> Iterator[str]:
    ganeti.ops.load()
    common = msgspec.structs.fields(OpParams)
    yield "# Operations"
    yield ""
    yield "A job is a list of operations. `gnt-debug submit-job` takes them as JSON: an object whose `OP_ID` names the"
    yield "operation, and its parameters. A parameter that is not there, or of another type, is refused before the job is accepted."
    yield ""
    yield "After the master died while an operation ran, the next master plays back the operation's undo list. Then the job has"
    yield "failed (*undo*), or the operation begins again (*rerun*)."
    yield ""
    yield "Every operation takes:"
    yield ""
    yield from table(("parameter", "type", "default"), [field_row(field) for field in common])
    helps = _helps()
    for tag in sorted(REGISTRY):
        yield from _operation(tag, REGISTRY[tag], {field.name for field in common}, helps.get(tag, {}))


def _operation(
    tag: str, operation: Operation[Any, Any, Any], common: set[str], helps: Mapping[str, str]
) -> Iterator[str]:
    kind = type(operation)
    yield ""
    yield f"## {tag}"
    yield ""
    yield docstring(kind)
    module = docstring(sys.modules[kind.__module__]).partition(": ")[2]
    if module:
        yield ""
        yield module[:1].upper() + module[1:]
    said = docstring(operation.params)
    if said:
        yield ""
        yield said
    fields = [field for field in msgspec.structs.fields(operation.params) if field.name not in common]
    if fields:
        yield ""
        yield from table(
            ("parameter", "type", "default", "meaning"),
            [(*field_row(field), helps.get(field.name, "")) for field in fields],
        )
    hidden = (*operation.params.secret_fields, *operation.params.private_fields)
    if hidden:
        yield ""
        yield f"Never shown: {', '.join(f'`{name}`' for name in hidden)}."
    yield ""
    for step in ("locks", "survey", "plan", "run"):
        if (about := _own_doc(kind, step)) is not None:
            yield f"- {step}: {lower_first(about)}"
    yield f"- hooks: {'yes' if kind.hooks is not Operation.hooks else 'none'}"
    yield f"- after a crash of the master: {operation.recovery}"


def _helps() -> dict[str, dict[str, str]]:
    """What the commands say of the parameters of operations: it is said once, where the user reads it first."""
    found: dict[str, dict[str, str]] = {}
    for _, _, command in commands():
        for option in command.options:
            if option.param and command.op:
                words = f"when no: {option.help}" if option.off else option.help
                found.setdefault(command.op, {}).setdefault(option.param, words)
    return found


def _parameters() -> Iterator[str]:
    catalog, _ = build_catalog()
    yield "# Parameters"
    yield ""
    yield "A parameter has a value at several levels; the last one that has a value counts: built-in, cluster, operating system"
    yield "(parameters of hypervisors) or node group (parameters of disks and nodes, the policy), instance or node. The value"
    yield "`default` takes the value of a level away. `gnt-cluster info` and `gnt-instance info` show what is in force."
    levels: list[tuple[str, str, tuple[Param, ...]]] = [
        ("Backend parameters", "What a guest gets, with every hypervisor (`-B`).", effective.BACKEND),
        ("Network interfaces", "`--net N:...` of an instance, `-N` of the cluster.", effective.NIC),
        ("Nodes", "`--node-parameters` of cluster, group and node.", effective.NODE),
    ]
    for name, traits in sorted(catalog.hypervisors.items()):
        said = (
            "Guests are virtual machines."
            if traits.real_guests
            else "No guest runs: for tests and for trying things out."
        )
        levels.append((f"Hypervisor {name}", f"`-H {name}:...`. {said}", traits.params))
    for title, said, params in levels:
        yield from _param_table(title, said, params)
    for template, storage in sorted(catalog.storages.items()):
        can = [
            word
            for word, holds in (
                ("disks can grow", storage.growable and storage.has_disks),
                ("disks are files", storage.file_based),
                ("data that exists can be adopted", storage.adoptable),
            )
            if holds
        ]
        mirrored = {
            "none": "on one node",
            "internal": "copied between two nodes",
            "external": "seen by every node alike",
        }
        said = (
            f"`-D {template}:...`. Data is {mirrored[storage.mirrored]}." if storage.has_disks else "No disks at all."
        )
        yield from _param_table(
            f"Disk template {template}", f"{said} {capital('; '.join(can))}.".replace(" .", ""), storage.params
        )
    yield ""
    yield "## NIC modes"
    yield ""
    yield from table(
        ("mode", "`link` is", "`vlan` works", "needs an IP"),
        [
            (mode, traits.link_is, yes_or_no(traits.vlan_aware), yes_or_no(traits.ip_required))
            for mode, traits in sorted(catalog.networks.items())
        ],
    )
    yield from _policy()


def _param_table(title: str, said: str, params: Sequence[Param]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield said
    if not params:
        yield ""
        yield "It has no parameters."
        return
    yield ""
    yield from table(
        ("parameter", "type", "default", "meaning"),
        [
            (f"`{param.name}`", _param_type(param), value_words(param.default), _param_meaning(param))
            for param in sorted(params, key=lambda each: each.name)
        ],
    )


def _param_type(param: Param) -> str:
    words = {"string": "text", "maybe-string": "text or `none`", "bool": "yes/no", "int": "whole number"}
    named = words | {"float": "number", "size": "size (MiB, or with M, G, T)"}
    if param.choices:
        return "one of " + ", ".join(f"`{choice}`" for choice in param.choices)
    said = "absolute path" if param.absolute_path else named[param.kind]
    if param.minimum is not None and param.maximum is not None:
        return f"{said}, {param.minimum} to {param.maximum}"
    if param.minimum is not None:
        return f"{said}, {param.minimum} or more"
    return said if param.maximum is None else f"{said}, {param.maximum} or less"


def _param_meaning(param: Param) -> str:
    notes = [param.summary]
    if param.required:
        notes.append("must not be empty")
    if param.cluster_only:
        notes.append("only for the whole cluster")
    return "; ".join(filter(None, notes))


def _policy() -> Iterator[str]:
    yield ""
    yield "## Instance policy"
    yield ""
    yield "What an instance may be, for the cluster and, instead of it, for a node group. Sizes are MiB. An instance must fit one of"
    yield "the pairs of bounds; `--ignore-ipolicy` makes a breach a warning."
    yield ""
    bounds = policy.DEFAULTS["minmax"][0]
    yield from table(
        ("bound", "least", "most", "standard"),
        [
            (f"`{key}`", str(bounds["min"][key]), str(bounds["max"][key]), str(policy.DEFAULTS["std"][key]))
            for key in policy.SPEC_KEYS
        ],
    )
    yield ""
    yield from table(
        ("setting", "default"),
        [(f"`{key}`", value_words(policy.DEFAULTS[key])) for key in ("vcpu-ratio", "spindle-ratio", "disk-templates")],
    )


def _fields() -> Iterator[str]:
    yield "# Fields"
    yield ""
    yield "The columns of lists: `-o name,status` chooses, `-o +tags` adds to the usual ones, and filters name them"
    yield "(`gnt-instance list 'status == \"running\" and be/vcpus > 2'`). In JSON a value has the type in the third column."
    yield ""
    yield "*Asks nodes* marks what is not in the configuration: it is asked at the time of the list, and is missing for a node that"
    yield "does not answer."
    for what, resource in sorted(engine.RESOURCES.items()):
        known = resource.fields(_view())
        yield ""
        yield f"## {what}"
        yield ""
        yield f"Shown when none are named: {', '.join(f'`{name}`' for name in resource.default_fields) or 'all'}."
        yield ""
        yield from table(("field", "title", "kind", "meaning"), _field_rows(known))


def _field_rows(known: Mapping[str, Field[Any, Any]]) -> Iterator[Row]:
    counted: dict[str, int] = {}
    for name in known:
        counted[_family(name)] = counted.get(_family(name), -1) + 1
    for name in sorted(known, key=natural):
        field, family = known[name], _family(name)
        if family != name and not name.endswith("/0"):
            continue
        title, doc = field.title, field.doc
        if family != name:
            title = re.sub(r"0$", "N", title)
            doc = f"{_counted_from_n(doc)}, for N from 0 to {counted[family]}"
        asks = "; *asks nodes*" if field.needs & {"guests", "consoles", "facts"} else ""
        yield (f"`{family}`", title, field.kind, doc + asks)


def _family(name: str) -> str:
    return re.sub(r"/\d+$", "/N", name)


def _counted_from_n(doc: str) -> str:
    return re.sub(r"\b(\d+)(st|nd|rd|th)\b|\b0\b", "N", doc)


def _view() -> View:
    """A cluster without anything in it: the columns depend on the drivers only."""
    catalog, addressing = build_catalog()
    cluster = Cluster(
        uuid=Uuid("cluster"),
        cluster_name="cluster.example.com",
        master_node=Uuid("node"),
        master_ip="192.0.2.1",
        master_netdev="lo",
        enabled_hypervisors=tuple(sorted(catalog.hypervisors)),
        enabled_disk_templates=tuple(sorted(catalog.storages)),
    )
    return View(picture=Picture(cluster_or_none=cluster), catalog=catalog, addressing=addressing)


def _node_calls() -> Iterator[str]:
    yield "# Node calls"
    yield ""
    yield "What the master asks of `ganeti-noded`, over mutual TLS. A call says how things shall be, so repeating it is harmless. It"
    yield "carries the epoch of the master; a node refuses one that is older than the newest it has seen."
    for kind in call_types():
        yield from _call(kind)
    yield ""
    yield "## Types"
    named: dict[str, type[msgspec.Struct]] = {}
    for kind in call_types():
        gather(reply_type(kind), named)
        for field in msgspec.structs.fields(kind):
            gather(field.type, named)
    for name, struct in sorted(named.items()):
        yield ""
        yield f"### {name}"
        said = docstring(struct)
        if said:
            yield ""
            yield said
        yield ""
        yield from table(("field", "type", "default"), [field_row(field) for field in msgspec.structs.fields(struct)])


def _call(kind: type[Call[Any]]) -> Iterator[str]:
    yield ""
    yield f"## {kind.__struct_config__.tag}"
    yield ""
    yield docstring(kind)
    fields = msgspec.structs.fields(kind)
    if fields:
        yield ""
        yield from table(("field", "type", "default"), [field_row(field) for field in fields])
    yield ""
    yield f"- answer: {type_words(reply_type(kind))}"
    yield f"- {'only reads' if kind.only_reads else 'changes the node'}"
    own_limit = kind.limit_s is not Call.limit_s
    yield f"- the master waits {kind.timeout_s:g} s" + (", or what the call itself says" if own_limit else "")
    if kind.unfenced:
        yield "- obeyed whatever the epoch"


def _own_doc(kind: type[Operation[Any, Any, Any]], step: str) -> str | None:
    """What an operation says of one of its steps; None when it has none of its own."""
    method = getattr(kind, step)
    if method is getattr(Operation, step) or not method.__doc__:
        return None
    return " ".join(inspect.cleandoc(method.__doc__).split())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ganeti.main.reference DIRECTORY")
    main(sys.argv[1])

"""Which instances a command means: by name, by node, by tag, or all of them; and the question when there are several."""

from __future__ import annotations

from ganeti.cli.declare import Argument, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

_MODES = (
    ("instance", "the arguments are names of instances (this is usual)"),
    ("node", "the arguments are nodes: all instances that have them as primary or secondary"),
    ("primary", "the arguments are nodes: all instances that have them as primary"),
    ("secondary", "the arguments are nodes: all instances that have them as secondary"),
    ("all", "every instance of the cluster; takes no arguments"),
    ("tags", "the arguments are tags: all instances that carry one of them"),
    ("node-tags", "the arguments are tags of nodes: all instances on such nodes"),
    ("pri-node-tags", "the arguments are tags of nodes: all instances that have such a primary"),
    ("sec-node-tags", "the arguments are tags of nodes: all instances that have such a secondary"),
)
SELECTORS = tuple(Option(f"--{mode}", text, dest=f"by_{mode.replace('-', '_')}") for mode, text in _MODES)
FORCE_MULTIPLE = Option("--force-multiple", "do not ask when there are several instances")
OPTIONS = (*SELECTORS, FORCE_MULTIPLE)
ARGUMENTS = (Argument("INSTANCE", 0, None, complete="instance"),)


def chosen(session: Session, options: Options, arguments: list[str]) -> tuple[str, list[str]]:
    """The selector and the names of all instances it means, sorted. Raises `Refused` when there are none."""
    from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Refused

    modes = [mode for mode, _ in _MODES if options[f"by_{mode.replace('-', '_')}"]]
    if len(modes) > 1:
        raise Refused(WRONG_INPUT, f"--{modes[0]} and --{modes[1]} cannot go together")
    mode = modes[0] if modes else "instance"
    if mode == "all":
        if arguments:
            raise Refused(WRONG_INPUT, f"--all takes no names: {' '.join(arguments)}")
    elif not arguments:
        raise Refused(WRONG_INPUT, "name at least one " + ("tag" if "tags" in mode else _noun(mode)))
    try:
        names = _names(session, mode, arguments)
    except Refused as error:
        if mode != "instance" or error.code != UNKNOWN or len(arguments) > 1:
            raise
        names = []
    if not names:
        raise Refused(WRONG_INPUT, "Selection filter does not match any instances", arguments=arguments)
    return mode, sorted(set(names))


def _noun(mode: str) -> str:
    return "instance" if mode == "instance" else "node"


def _names(session: Session, mode: str, arguments: list[str]) -> list[str]:
    master = session.master
    if mode in ("instance", "all"):
        return [row[0] for row in master.values("instance", ["name"], arguments=arguments)]
    if mode == "tags":
        return [row[0] for row in master.values("instance", ["name"], qfilter=_tagged(arguments))]
    fields = {"pri": ["pinst_list"], "sec": ["sinst_list"]}.get(mode[:3], ["pinst_list", "sinst_list"])
    if mode.endswith("tags"):
        rows = master.values("node", fields, qfilter=_tagged(arguments))
    else:
        rows = master.values("node", fields, arguments=arguments)
    return [name for row in rows for names in row for name in names or ()]


def _tagged(tags: Sequence[str]) -> list[Any]:
    return ["|", *(["=[]", "tags", tag] for tag in tags)]


def confirmed(session: Session, options: Options, mode: str, names: Sequence[str], deed: str) -> bool:
    """Whether to go on: one instance by name needs no question, several need a yes or --force-multiple."""
    if options["force_multiple"] or (mode == "instance" and len(names) == 1):
        return True
    from ganeti.cli.confirm import agrees_to_all

    return agrees_to_all(session, names, "instances", deed)

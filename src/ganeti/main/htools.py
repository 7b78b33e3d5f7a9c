"""The programs hbal and hinfo: balance a cluster that a text file describes, and tell about it.

Thin: what they say comes from `ganeti.placement`. Options of the specification that are not served are refused with a
sentence, never ignored. Source: spec htools, "Programs", "hbal" and "hinfo".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ganeti.base.errors import GanetiError
from ganeti.base.version import software
from ganeti.placement.text import Cluster, dump, parse

if TYPE_CHECKING:
    from ganeti.placement.balance import Rules, Step
    from ganeti.placement.score import Scorer
    from ganeti.placement.state import Ints, State

FLAG, VALUE, GLUED = "flag", "value", "glued"

OPTIONS: dict[str, tuple[str, str]] = {
    "text-data": ("t", VALUE),
    "print-nodes": ("p", GLUED),
    "print-instances": ("", FLAG),
    "print-commands": ("C", GLUED),
    "evac-mode": ("E", FLAG),
    "restricted-migration": ("", FLAG),
    "group": ("G", VALUE),
    "max-length": ("l", VALUE),
    "verbose": ("v", FLAG),
    "quiet": ("q", FLAG),
    "offline": ("O", VALUE),
    "min-score": ("e", VALUE),
    "max-cpu": ("", VALUE),
    "min-disk": ("", VALUE),
    "min-gain": ("g", VALUE),
    "min-gain-limit": ("", VALUE),
    "no-disk-moves": ("", FLAG),
    "no-instance-moves": ("", FLAG),
    "select-instances": ("", VALUE),
    "exclude-instances": ("", VALUE),
    "ignore-soft-errors": ("", FLAG),
    "dynu-file": ("U", VALUE),
    "ignore-dynu": ("", FLAG),
    "exclusion-tags": ("", VALUE),
    "save": ("S", VALUE),
    "version": ("V", FLAG),
    "help": ("h", FLAG),
}
"""Long name: the short one, and what follows it. A glued value may be left out, and is never the next word."""

HINFO_OPTIONS = ["text-data", "print-nodes", "print-instances", "verbose", "quiet", "offline", "version", "help"]

NOT_SERVED = {
    "master": "m",
    "luxi": "L",
    "ialloc-src": "I",
    "exec": "X",
    "first-job-group": "",
    "reason": "",
    "static-kvm-node-memory": "",
    "mond": "",
    "mond-data": "",
    "mond-xen": "",
    "exit-on-missing-mond-data": "",
    "priority": "",
    "help-completion": "",
}


class Usage(Exception):
    """An option that does not exist, or stands alone though it needs a value."""


class Failure(Exception):
    """The program ends with status 1; the text goes to stderr as it is."""


@dataclass
class Arguments:
    """What stood on the command line: the last value of each option, all of repeated ones, and the rest."""

    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        return self.values[name][-1] if name in self.values else default

    def number(self, name: str, default: float) -> float:
        if name not in self.values:
            return default
        value = self.text(name)
        try:
            return float(value)
        except ValueError:
            raise Failure(
                f"Error while parsing command line arguments:\n{name}: cannot parse string '{value}'"
            ) from None

    @property
    def verbosity(self) -> int:
        return 1 + len(self.values.get("verbose", ())) - len(self.values.get("quiet", ()))


def hbal() -> int:
    """`hbal`."""
    return _program("hbal", list(OPTIONS), _hbal)


def hinfo() -> int:
    """`hinfo`."""
    return _program("hinfo", HINFO_OPTIONS, _hinfo)


def _program(name: str, options: Sequence[str], run: Callable[[Arguments], int]) -> int:
    try:
        arguments = read_arguments(sys.argv[1:], options)
        if "help" in arguments:
            print(_usage(name, options), end="")
            return 0
        if "version" in arguments:
            print(
                f"{name} (ganeti) version {software()}\nwritten in Python {sys.version.split()[0]}\non {sys.platform}"
            )
            return 0
        if arguments.words:
            raise Failure("Error: This program doesn't take any arguments.")
        if "text-data" not in arguments:
            raise Failure("Error: failed to load data, aborting: No backend selected! Exiting.")
        return run(arguments)
    except Usage as error:
        print(f"Command line error: {error}\n\n{_usage(name, options)}", end="", file=sys.stderr)
        return 2
    except Failure as error:
        print(error, file=sys.stderr)
        return 1


def _usage(name: str, options: Sequence[str]) -> str:
    lines = [f"Usage: {name} -t FILE [OPTION...]\n"]
    for option in options:
        short, kind = OPTIONS[option]
        value = {FLAG: "", VALUE: "=VALUE", GLUED: "[=VALUE]"}[kind]
        lines.append(f"  {f'-{short},' if short else '   '} --{option}{value}\n")
    return "".join(lines)


def read_arguments(argv: Sequence[str], allowed: Sequence[str]) -> Arguments:
    """Options anywhere, bundles of short ones, unambiguous beginnings of long ones."""
    found, words = Arguments(), list(argv)
    shorts = {OPTIONS[name][0]: name for name in allowed if OPTIONS[name][0]}
    refused = {short: name for name, short in NOT_SERVED.items() if short}

    def take(name: str, value: str | None) -> None:
        kind = OPTIONS[name][1]
        if kind is FLAG and value is not None:
            raise Usage(f"option `--{name}' doesn't allow an argument")
        if kind is VALUE and value is None:
            if not words:
                raise Usage(f"option `--{name}' requires an argument")
            value = words.pop(0)
        found.values.setdefault(name, []).append(value or "")

    while words:
        word = words.pop(0)
        if word == "--":
            found.words += words
            break
        if word.startswith("--"):
            given, equals, value = word[2:].partition("=")
            take(_long(given, allowed), value if equals else None)
        elif word.startswith("-") and len(word) > 1:
            rest = word[1:]
            while rest:
                letter, rest = rest[0], rest[1:]
                if letter in refused:
                    raise Failure(_not_served(refused[letter]))
                if letter not in shorts:
                    raise Usage(f"unrecognized option `-{letter}'")
                if OPTIONS[shorts[letter]][1] is FLAG:
                    take(shorts[letter], None)
                else:
                    take(shorts[letter], rest or None)
                    rest = ""
        else:
            found.words.append(word)
    return found


def _long(given: str, allowed: Sequence[str]) -> str:
    if given in allowed:
        return given
    matching = [name for name in (*allowed, *NOT_SERVED) if name.startswith(given)]
    if given in NOT_SERVED:
        matching = [given]
    if len(matching) > 1:
        raise Usage(f"option `--{given}' is ambiguous; could be one of: {', '.join(f'--{name}' for name in matching)}")
    if not matching:
        raise Usage(f"unrecognized option `--{given}'")
    if matching[0] in NOT_SERVED:
        raise Failure(_not_served(matching[0]))
    return matching[0]


def _not_served(name: str) -> str:
    return (
        f"Error: --{name} is not served yet; clusters are read from text files (-t FILE), and plans are printed (-C)."
    )


def load(arguments: Arguments) -> State:
    """The cluster of `-t`, with what the options say about it; complains on stderr about what does not add up."""
    path = arguments.text("text-data")
    try:
        cluster = parse(Path(path).read_text(encoding="utf-8"), source=path)
    except OSError as error:
        raise Failure(f"Error: failed to load data, aborting: {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Failure(f"Error: failed to load data, aborting: {path}: not text: {error.reason}") from None
    except GanetiError as error:
        raise Failure(f"Error: failed to load data, aborting: {error.message}") from None
    from ganeti.placement.state import Options, State

    names = [node.name for node in cluster.nodes]
    offline = arguments.values.get("offline", [])
    unknown = [name for name in offline if find(name, names) is None]
    if unknown:
        raise Failure(f"Error: wrong node name(s) set as offline: {', '.join(unknown)}")
    ratio = arguments.number("max-cpu", 0.0)
    if "max-cpu" in arguments and ratio <= 0:
        raise Failure("Error while parsing command line arguments:\nmax-cpu: the ratio must be above 0")
    state = State(
        cluster,
        Options(
            offline=frozenset(index for name in offline if (index := find(name, names)) is not None),
            vcpu_ratio=ratio or None,
            least_free_disk=arguments.number("min-disk", 0.0),
            exclusion_tags=tuple(arguments.text("exclusion-tags").split(",")) if "exclusion-tags" in arguments else (),
            utilisation=_utilisation(arguments),
            ignore_utilisation="ignore-dynu" in arguments,
        ),
    )
    if arguments.verbosity != 0:
        _complain(state)
    return state


def find(name: str, names: Sequence[str]) -> int | None:
    """The index of this name, or of the only one that continues it with a dot."""
    if name in names:
        return names.index(name)
    longer = [index for index, full in enumerate(names) if full.startswith(f"{name}.")]
    return longer[0] if len(longer) == 1 else None


def _utilisation(arguments: Arguments) -> dict[str, tuple[float, float, float, float]]:
    if "dynu-file" not in arguments or "ignore-dynu" in arguments:
        return {}
    path, found = arguments.text("dynu-file"), {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Failure(f"Error: failed to load data, aborting: {path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        fields = line.split(" ")
        if len(fields) != 5:
            raise Failure(f"Error: failed to load data, aborting: {path}, line {number}: Cannot parse line {line}")
        try:
            cpu, memory, disk, net = map(float, fields[1:])
        except ValueError as error:
            raise Failure(
                f"Error: failed to load data, aborting: {path}, line {number}: {fields[0]}: {error}"
            ) from None
        found[fields[0]] = (cpu, memory, disk, net)
    return found


def _complain(state: State) -> None:
    """Name nodes where more than half a GiB of memory or a GiB of disk is nowhere to be found."""
    import numpy as np

    count = len(state.online)
    # Disks outside the nodes are counted too, as they always were.
    disks = np.array([0.0 if i.forthcoming else i.disk_mib for i in state.cluster.instances])
    held = np.bincount(state.primary, disks, count)
    second = state.secondary >= 0
    held = held + np.bincount(state.secondary[second], disks[second], count)
    disk = state.total_disk_mib - state.free_disk_mib - held
    wrong = np.flatnonzero(state.online & ((state.missing_mib > 512) | (disk > 1024)))
    if len(wrong):
        print("Warning: cluster has inconsistent data:", file=sys.stderr)
        for node in wrong[::-1]:
            name, memory, gib = state.cluster.nodes[node].name, int(state.missing_mib[node]), int(disk[node] / 1024)
            print(f"  - node {name} is missing {memory} MB ram and {gib} GB disk", file=sys.stderr)
        print(file=sys.stderr)


def _short(cluster: Cluster) -> Callable[[str], str]:
    from ganeti.placement.plan import common_suffix

    suffix = common_suffix([*(node.name for node in cluster.nodes), *(i.name for i in cluster.instances)])
    return lambda name: name.removesuffix(suffix)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _hinfo(arguments: Arguments) -> int:
    state = load(arguments)
    import numpy as np

    from ganeti.placement import report, score

    cluster = state.cluster
    print(f"Loaded cluster tags: {','.join(cluster.tags)}")
    sizes = (len(cluster.nodes), "node"), (len(cluster.instances), "instance"), (len(cluster.groups), "node group")
    print(f"Loaded {', '.join(_counted(*size) for size in sizes)}")
    split = _split(state)
    if split:
        print(f"Found instances belonging to multiple node groups:\n{''.join(f'  {name}{chr(10)}' for name in split)}")
    elif arguments.verbosity > 1:
        print("No split instances found")
    if arguments.verbosity > 1:
        rows = []
        for index, group in enumerate(cluster.groups):
            scope = np.flatnonzero(state.group == index)
            bad = score.bad_nodes(state, scope)
            rows.append(
                [
                    group.name,
                    str(len(scope)),
                    str(len(score.instances_of(state, scope))),
                    str(len(bad)),
                    str(len(score.bad_instances(state, scope))),
                    str(not len(bad)),
                    f"{score.Scorer(state, scope).score():.8f}",
                ]
            )
        header = ["Group", "Nodes", "Instances", "Bad_Nodes", "Bad_Instances", "N+1", "Score"]
        right = [False, True, True, True, True, False, True]
        print("Node group information:\n" + report.table("  ", header, rows, right), end="")
    scorer = score.Scorer(state)
    bad = score.bad_nodes(state, scorer.scope)
    print(f"Cluster is N+1 {'unhappy' if len(bad) else 'happy'}")
    print(f"Cluster coefficients:\n{report.components(scorer)}Cluster score: {scorer.score():.8f}")
    _print_tables(arguments, state, scorer.scope, "Cluster")
    return 0


def _split(state: State) -> list[str]:
    return [
        instance.name
        for instance in state.cluster.instances
        if instance.secondary is not None and state.group[instance.primary] != state.group[instance.secondary]
    ]


def _print_tables(arguments: Arguments, state: State, scope: Ints, when: str) -> None:
    from ganeti.placement import report, score

    if "print-instances" in arguments:
        title = "Instance map:" if when == "Cluster" else f"{when} instance map:"
        print(
            f"\n{title}\n{report.instances(state, score.instances_of(state, scope).tolist())}", end="", file=sys.stderr
        )
    if "print-nodes" in arguments:
        given = arguments.text("print-nodes")
        fields = list(report.NODE_FIELDS) if not given or given.startswith("+") else []
        fields += [name for name in given.removeprefix("+").split(",") if name]
        unknown = [name for name in fields if name not in report.NODE_FIELDS and name not in ("idx", "fqdn")]
        if unknown:
            raise Failure(f"Error: --print-nodes: unknown or not served: {', '.join(unknown)}")
        title = "Cluster status:" if when == "Cluster" else f"{when} cluster status:"
        print(f"\n{title}\n{report.nodes(state, fields, _short(state.cluster), scope.tolist())}", file=sys.stderr)


def _hbal(arguments: Arguments) -> int:
    state = load(arguments)
    from ganeti.placement import score
    from ganeti.placement.balance import Balancer
    from ganeti.placement.plan import common_suffix

    cluster = state.cluster
    if not cluster.nodes:
        print("Cluster is empty, exiting.")
        return 0
    if arguments.verbosity > 2:
        print(f"Loaded cluster tags: {','.join(cluster.tags)}")
    print(f"Loaded {_counted(len(cluster.nodes), 'node')}, {_counted(len(cluster.instances), 'instance')}")
    suffix = common_suffix([*(node.name for node in cluster.nodes), *(i.name for i in cluster.instances)])
    if arguments.verbosity > 1 and suffix:
        print(f"Note: Stripping common suffix of '{suffix}' from names")
    if arguments.verbosity > 1 and _split(state):
        print("Found instances belonging to multiple node groups:", *_split(state), sep="\n  ", file=sys.stderr)
    _save(arguments, state, "before balancing", "original")
    group = _group(arguments, cluster)
    scope = (state.group == group).nonzero()[0]
    member = score.instances_of(state, scope)
    print(f"Group size {_counted(len(scope), 'node')}, {_counted(len(member), 'instance')}")
    if not len(scope):
        return 0
    print(f"Selected node group: {cluster.groups[group].name}")
    bad = score.bad_nodes(state, scope)
    print(f"Initial check done: {len(bad)} bad nodes, {len(score.bad_instances(state, scope))} bad instances.")
    if len(bad):
        print("Cluster is not N+1 happy, continuing but no guarantee that the cluster will end N+1 happy.")
    crowded = state.used_cpus > state.vcpu_ratio * state.total_cpus
    violating = state.online & ~state.failing & (crowded | (state.instance_spindles > state.most_spindle_use))
    if violating[scope].any():
        print(f"The cluster contains {int(violating[scope].sum())} policy-violating nodes.")
        print(
            "Continuing, but the set of moves might be too restricted; consider using the --ignore-soft-errors option."
        )
    _print_tables(arguments, state, scope, "Initial")
    balancer = Balancer(state, scope, _rules(arguments, cluster))
    first = balancer.score
    _print_score(arguments, balancer.scorer, f"Initial score: {first:.8f}", "Initial coefficients: overall")
    least = balancer.rules.min_score
    if first - balancer.floor < least:
        print(f"Cluster is already well balanced (initial score {_general(first)},")
        print(f"optimum score due to N+1 reservations {_general(balancer.floor)},")
        print(f"minimum score {_general(least)}).\nNothing to do, exiting")
        return 0
    print("Trying to minimize the CV...")
    limit = int(arguments.number("max-length", -1))
    steps = _make_steps(balancer.steps(None if limit < 0 else limit), cluster)
    summary = f"Cluster score improved from {first:.8f} to {balancer.score:.8f}" if steps else "No solution found"
    _print_score(arguments, balancer.scorer, summary, "Final coefficients:   overall")
    print(f"Solution length={len(steps)}")
    _print_commands(arguments, cluster, steps)
    _save(arguments, state, "after balancing", "balanced")
    _print_tables(arguments, state, scope, "Final")
    return 0


def _print_score(arguments: Arguments, scorer: Scorer, line: str, title: str) -> None:
    from ganeti.placement import report

    if arguments.verbosity > 2:
        print(f"{title} {scorer.score():.8f}\n{report.components(scorer)}", end="")
    else:
        print(line)


def _make_steps(steps: object, cluster: Cluster) -> list[Step]:
    from collections.abc import Iterable
    from typing import cast

    short = _short(cluster)
    nodes = [short(node.name) for node in cluster.nodes]
    names = [short(instance.name) for instance in cluster.instances]
    wide, pair = max(map(len, names), default=0), 2 * max(map(len, nodes)) + 1
    made = []
    for step in cast("Iterable[Step]", steps):
        before, after = (":".join(nodes[n] for n in places if n >= 0) for places in (step.before, step.after))
        move = step.kind.value.format(t=nodes[step.target])
        made.append(step)
        print(
            f"  {len(made):3d}. {names[step.instance]:{wide}} {before:{pair}} => {after:{pair}}"
            f" {step.score:12.8f} a={move}",
            flush=True,
        )
    return made


def _print_commands(arguments: Arguments, cluster: Cluster, steps: Sequence[Step]) -> None:
    if "print-commands" not in arguments:
        return
    from ganeti.placement import plan

    short = _short(cluster)
    to_commands = {
        position: plan.commands(
            cluster, step, short(cluster.nodes[step.target].name), short(cluster.instances[step.instance].name)
        )
        for position, step in enumerate(steps)
    }
    path = arguments.text("print-commands")
    text = plan.script(plan.job_sets(steps), to_commands, checked=bool(path))
    if not path:
        print("\nCommands to run to reach the above solution:")
        print("".join(f"  {line}\n" for line in text.splitlines()), end="")
        return
    _write(path, plan.SCRIPT_HEAD + text)
    print(f"The commands have been written to file '{path}'")


def _save(arguments: Arguments, state: State, when: str, suffix: str) -> None:
    if "save" not in arguments:
        return
    from ganeti.placement.state import snapshot

    path = f"{arguments.text('save')}.{suffix}"
    _write(path, dump(snapshot(state)))
    print(f"The cluster state {when} has been written to file '{path}'", file=sys.stderr)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"Error: cannot write {path}: {error.strerror}") from None


def _group(arguments: Arguments, cluster: Cluster) -> int:
    names = [group.name for group in cluster.groups]
    if "group" in arguments:
        wanted = arguments.text("group")
        for index, group in enumerate(cluster.groups):
            if wanted in (group.name, group.uuid):
                return index
        title = f"Node group {wanted} not found. Node group list is:"
    elif len(names) > 1:
        title = "Found multiple node groups:"
    else:
        return 0
    raise Failure("\n".join([title, *(f"  {name}" for name in names), "Error: Aborting."]))


def _rules(arguments: Arguments, cluster: Cluster) -> Rules:
    from ganeti.placement.balance import Rules

    def chosen(name: str) -> frozenset[int] | None:
        if name not in arguments:
            return None
        names = [instance.name for instance in cluster.instances]
        given = arguments.text(name).split(",")
        found = {one: find(one, names) for one in given}
        unknown = [one for one, index in found.items() if index is None]
        if unknown:
            raise Failure(f"Error: failed to load data, aborting: Unknown instance(s): {', '.join(unknown)}")
        return frozenset(index for index in found.values() if index is not None)

    return Rules(
        min_score=arguments.number("min-score", 1e-9),
        min_gain=arguments.number("min-gain", 0.01),
        min_gain_limit=arguments.number("min-gain-limit", 0.1),
        disk_moves="no-disk-moves" not in arguments,
        instance_moves="no-instance-moves" not in arguments,
        restricted_migration="restricted-migration" in arguments,
        evac_mode="evac-mode" in arguments,
        ignore_soft_errors="ignore-soft-errors" in arguments,
        selected=chosen("select-instances"),
        excluded=chosen("exclude-instances") or frozenset(),
    )


def _general(value: float) -> str:
    """Six digits after the point, with an exponent where the number is small or large."""
    if value == 0 or 0.1 <= abs(value) < 1e7:
        return f"{value:.6f}"
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{mantissa}e{int(exponent)}"

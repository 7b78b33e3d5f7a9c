"""What a command, an option and an argument are: declarations from which parser, help, manual and completion come.

Values are not to be changed after they are made.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ganeti.cli.session import Session

    Options = Mapping[str, Any]
    Run = Callable[["Session", Options, list[str]], int]

FLAG = "flag"
STRING = "string"
INT = "int"
FLOAT = "float"
SIZE = "size"
BOOL = "bool"
CHOICE = "choice"
LIST = "list"
KEYVAL = "keyval"
PRIVATE = "private"
IDENT = "ident"
BOUNDS = "bounds"
RATIO = "ratio"
UIDS = "uids"
"""Kinds of values. `flag` takes none; `size` is MiB; `list` is split at commas; `keyval` is `k=v,...`; `private`
the same with values that are never written to a log; `ident` is `NAME:k=v,...`; `bounds` is the `//` and `;` form
of policy bounds; `ratio` a number or `default`; `uids` ranges of user ids."""


class Option:
    """One option of a command.

    `names` as in "-t --disk-template". `param`: the operation's parameter it becomes when given. `refused`: why it is
    not served (a sentence's end: "... is not served yet: ..."). `accepted`: why it needs no effect. `extra`: ours,
    beyond what existed before; it never makes an old abbreviation ambiguous. `off`: a flag whose value is false.
    """

    __slots__ = (
        "accepted",
        "choices",
        "complete",
        "default",
        "dest",
        "extra",
        "help",
        "kind",
        "metavar",
        "names",
        "off",
        "param",
        "refused",
        "repeat",
    )

    def __init__(
        self,
        names: str,
        help: str,
        *,
        kind: str = FLAG,
        default: Any = None,
        choices: Sequence[str] = (),
        metavar: str = "",
        repeat: bool = False,
        off: bool = False,
        param: str = "",
        dest: str = "",
        refused: str = "",
        accepted: str = "",
        extra: bool = False,
        complete: str = "",
    ) -> None:
        self.names = tuple(names.split())
        self.help = help
        self.kind = CHOICE if choices else kind
        self.choices = tuple(choices)
        self.repeat = repeat
        self.off = off
        self.param = param
        self.refused = refused
        self.accepted = accepted
        self.extra = extra
        self.complete = complete
        longest = max(self.names, key=len).lstrip("-")
        self.dest = dest or (longest.removeprefix("no-") if off else longest).replace("-", "_")
        self.metavar = metavar or _METAVARS.get(self.kind, longest.upper())
        if default is None and self.kind == FLAG:
            default = off
        self.default = default

    def with_changes(self, **changes: Any) -> Option:
        """The same option with some attributes otherwise."""
        result = Option(" ".join(self.names), self.help)
        for name in self.__slots__:
            setattr(result, name, changes.get(name, getattr(self, name)))
        return result


_METAVARS = {
    SIZE: "SIZE",
    INT: "N",
    BOOL: "yes|no",
    LIST: "NAME,...",
    KEYVAL: "KEY=VALUE,...",
    PRIVATE: "KEY=VALUE,...",
    IDENT: "NAME:KEY=VALUE,...",
    BOUNDS: "min:KEY=VALUE,...;max:...",
}


class Argument:
    """A positional argument, or several: `least` to `most` (None: any number). `complete`: what a shell offers."""

    __slots__ = ("choices", "complete", "least", "most", "name")

    def __init__(
        self, name: str, least: int = 1, most: int | None = 1, *, choices: Sequence[str] = (), complete: str = ""
    ) -> None:
        self.name = name
        self.least = least
        self.most = most
        self.choices = tuple(choices)
        self.complete = complete


class Command:
    """One command. `run(session, options, arguments)` returns the exit status.

    `op`: the operation whose parameters the options' `param` are; kept here so that a test can compare them.
    `local`: runs without a master, also elsewhere than on the master node.
    """

    __slots__ = ("arguments", "description", "examples", "local", "op", "options", "run", "summary")

    def __init__(
        self,
        run: Run,
        summary: str,
        *,
        arguments: Sequence[Argument] = (),
        options: Sequence[Option] = (),
        description: str = "",
        examples: Sequence[tuple[str, str]] = (),
        op: str = "",
        local: bool = False,
    ) -> None:
        self.run = run
        self.summary = summary
        self.arguments = tuple(arguments)
        self.options = (*options, *EVERY_COMMAND)
        self.description = description
        self.examples = tuple(examples)
        self.op = op
        self.local = local


class Group:
    """A program, `gnt-NAME`: the names of its commands (module `ganeti.cli.NAME.COMMAND`) and their other names.

    `later`: commands known from before which are not there yet.
    """

    __slots__ = ("aliases", "commands", "later", "name", "summary")

    def __init__(
        self,
        name: str,
        summary: str,
        commands: str,
        *,
        aliases: Mapping[str, str] | None = None,
        later: str = "",
    ) -> None:
        self.name = name
        self.summary = summary
        self.commands = tuple(sorted(commands.split()))
        self.aliases = dict(aliases or {})
        self.later = tuple(sorted(later.split()))

    @property
    def program(self) -> str:
        """What the user types."""
        return f"gnt-{self.name}"

    def command(self, name: str) -> Command:
        """Load one command by its full name."""
        module = f"ganeti.cli.{self.name}.{name.replace('-', '_')}"
        loaded = __import__(module, fromlist=["COMMAND"])
        command: Command = loaded.COMMAND
        return command


HELP = Option("-h --help", "show this help and end", accepted="the driver answers it")
DEBUG = Option("-d --debug", "show where an error came from; repeat for more", repeat=True)
REASON = Option(
    "--reason", "why this is done, for the reason trail and the log of commands", kind=STRING, metavar="TEXT"
)

EVERY_COMMAND = (REASON, DEBUG, HELP)

SUBMIT = Option("--submit", "print the job's number and do not wait for its end")
PRINT_JOBID = Option("--print-jobid", "print the job's number on the first line")
PRIORITY = Option("--priority", "how urgent the job is", choices=("low", "normal", "high"))
DRY_RUN = Option("--dry-run", "check and show what would be done; change nothing")
FORCE = Option("-f --force", "ask no questions, and override what may be overridden")

JOB = (SUBMIT, PRINT_JOBID, PRIORITY, DRY_RUN)
"""Options of commands that submit jobs."""

NO_JOB_PRIORITY = PRIORITY.with_changes(accepted="the answer needs no job, so there is nothing that could wait")

FORMAT = Option("--format", "print as JSON or YAML", choices=("json", "yaml"), extra=True)

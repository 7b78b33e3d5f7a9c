"""What a command may touch: the master, the two streams, the terminal, and facts of this run. Made in `main`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, TextIO

    from ganeti.base.paths import Paths
    from ganeti.client.master import Master

    Local = Callable[[dict[str, Any], list[str]], int]

    class RunProgram(Protocol):
        def __call__(self, argv: list[str], stdin: bytes | None = None) -> int: ...


class Session:
    """One run of one command.

    `now_ns`: nanoseconds since the epoch. `locals`: commands that work without a master, by "GROUP COMMAND".
    `open_terminal`: the terminal for questions, or `OSError` where there is none. `run_program(argv, stdin)` runs a program
    on this terminal, with the bytes `stdin` as its input if given, and returns its exit status.
    """

    def __init__(
        self,
        *,
        paths: Paths,
        environ: Mapping[str, str],
        out: TextIO,
        err: TextIO,
        now_ns: Callable[[], int],
        locals: Mapping[str, str],
        load_local: Callable[[str], Local],
        open_terminal: Callable[[], TextIO],
        run_program: RunProgram,
    ) -> None:
        self.paths = paths
        self.environ = environ
        self.now_ns = now_ns
        self.open_terminal = open_terminal
        self.run_program = run_program
        self.program = "gnt"
        self.command = ""
        self.jobs: list[int] = []
        """Jobs this run has submitted, for whoever interrupts it."""
        self._out = out
        self._err = err
        self._locals = locals
        self._load_local = load_local
        self._master: Master | None = None

    @property
    def master(self) -> Master:
        """The master daemon."""
        if self._master is None:
            from ganeti.client.master import Master

            self._master = Master(self._socket_path(), self.paths.node_settings)
        return self._master

    def local(self, name: str) -> Local:
        """The function behind a command that works without a master, as `cluster init`."""
        return self._load_local(self._locals[name])

    def say(self, text: str) -> None:
        """A line on standard output."""
        self._out.write(text + "\n")

    def write(self, text: str) -> None:
        """Text on standard output, at once."""
        self._out.write(text)

    def show(self) -> None:
        """Let what was said be seen now, for example before waiting."""
        self._out.flush()

    def warn(self, text: str) -> None:
        """A line on standard error, after what was said before."""
        self._out.flush()
        self._err.write(text + "\n")
        self._err.flush()

    @property
    def out_is_terminal(self) -> bool:
        """Whether somebody looks at standard output."""
        return self._out.isatty()

    @property
    def err_is_terminal(self) -> bool:
        """Whether somebody looks at standard error."""
        return self._err.isatty()

    def paint(self, text: str, colour: str) -> str:
        """Text in a colour where a terminal shows it and nobody asked for none (NO_COLOR)."""
        codes = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "faint": "2"}
        if not self.out_is_terminal or self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb":
            return text
        return f"\x1b[{codes[colour]}m{text}\x1b[0m"

    def _socket_path(self) -> str:
        forced = self.environ.get("FORCE_LUXI_SOCKET", "")
        return forced if forced.startswith("/") else self.paths.master_socket

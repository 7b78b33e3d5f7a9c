"""Run commands in this process against a scripted master."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ganeti.base.paths import Paths
from ganeti.cli.driver import run
from ganeti.cli.programs import GROUPS
from ganeti.cli.session import Session
from tests.unit.cli.fake_master import FakeMaster

NOW_NS = 1_795_370_957_259_635_968


class Terminal(io.StringIO):
    """A terminal with answers typed in advance."""

    def __init__(self, typed: str) -> None:
        super().__init__()
        self._typed = io.StringIO(typed)

    def readline(self, *_: Any) -> str:  # type: ignore[override]  # typeshed: of StringIO it is str, of its base bytes
        return self._typed.readline()

    def close(self) -> None:
        """Asked again, it goes on where it was."""


@dataclass
class Done:
    status: int
    out: str
    err: str


@dataclass
class Shell:
    """Types command lines on a host. `typed`: what a user answers; None: there is no terminal."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    typed: str | None = None
    local: list[Any] = field(default_factory=list)
    programs: list[list[str]] = field(default_factory=list)
    program_status: int = 0

    @property
    def paths(self) -> Paths:
        return Paths(str(self.root))

    def join_cluster(self, *, node: str = "node1.example.com", master: str = "node1.example.com") -> None:
        Path(self.paths.data).mkdir(parents=True, exist_ok=True)
        settings = {"cluster_name": "cluster.example.com", "node_name": node, "master_name": master}
        Path(self.paths.node_settings).write_text(json.dumps(settings))

    def session(self, out: io.StringIO, err: io.StringIO) -> Session:
        terminal = None if self.typed is None else Terminal(self.typed)

        def open_terminal() -> Any:
            if terminal is None:
                raise OSError("there is no terminal")
            return terminal

        def load_local(where: str) -> Any:
            def function(options: dict[str, Any], arguments: list[str]) -> int:
                self.local.append((where, options, arguments))
                return 0

            return function

        def run_program(argv: list[str], stdin: bytes | None = None) -> int:
            self.programs.append(argv)
            return self.program_status

        return Session(
            paths=self.paths,
            environ=self.environ,
            out=out,
            err=err,
            now_ns=lambda: NOW_NS,
            locals={
                f"cluster {name}": name
                for name in ("init", "destroy", "command", "copyfile", "master-failover", "master-ping")
            },
            load_local=load_local,
            open_terminal=open_terminal,
            run_program=run_program,
        )

    def __call__(self, program: str, *words: str) -> Done:
        [group] = [group for group in GROUPS if group.program == program]
        out, err = io.StringIO(), io.StringIO()
        status = run(group, list(words), self.session(out, err))
        return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("TZ", "UTC")
    shell = Shell(tmp_path)
    shell.join_cluster()
    Path(shell.paths.log).mkdir(parents=True)
    return shell


@pytest.fixture
def master(shell: Shell) -> Iterator[FakeMaster]:
    Path(shell.paths.master_socket).parent.mkdir(parents=True)
    with FakeMaster(shell.paths.master_socket) as master:
        yield master

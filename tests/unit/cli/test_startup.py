"""A command starts about as fast as the interpreter: what it imports is counted, and the processes are real."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_master import FakeMaster

HEAVY = {"typing", "re", "argparse", "json", "enum", "inspect", "dataclasses", "asyncio", "msgspec", "socket", "http"}
HEAVY |= {"collections", "functools", "yaml", "subprocess", "logging", "contextlib", "difflib", "textwrap"}


def gnt(program: str, *words: str, root: Path, flags: tuple[str, ...] = ()) -> list[str]:
    code = f"import sys; from ganeti.main.gnt import {program}; sys.argv[1:] = {list(words)}; sys.exit({program}())"
    return [sys.executable, "-I", *flags, "-c", code]


@pytest.fixture
def table(master: FakeMaster) -> FakeMaster:
    master.columns = {"name": ("Instance", "text"), "oper_ram": ("Memory", "unit"), "status": ("Status", "text")}
    master.rows = [[[0, f"web{number}"], [0, 128], [0, "running"]] for number in range(3)]
    return master


@pytest.mark.parametrize(
    "program, words",
    [("instance", ["list", "-o", "name,oper_ram"]), ("node", ["list", "-o", "name"]), ("job", ["list", "-o", "name"])],
)
def test_lists_import_next_to_nothing(shell: Shell, table: FakeMaster, program: str, words: list[str]) -> None:
    done, added = run_counted(gnt(program, *words, root=shell.root, flags=("-X", "importtime")), shell)
    assert done.stdout.splitlines()[1].startswith("web0")
    assert not added & HEAVY
    assert not of_upper_floors(added)
    assert len(added) <= 25, sorted(added)


@pytest.mark.parametrize("program, words", [("debug", ["delay", "0"]), ("instance", ["add-tags", "web1", "fast"])])
def test_commands_that_wait_for_a_job_import_little(
    shell: Shell, master: FakeMaster, program: str, words: list[str]
) -> None:
    _, added = run_counted(gnt(program, *words, root=shell.root, flags=("-X", "importtime")), shell)
    assert len(master.submitted) == 1
    assert not added & HEAVY
    assert not of_upper_floors(added)


def run_counted(argv: list[str], shell: Shell) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a command that says what it imports; the modules that an interpreter alone does not import."""
    bare = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", "pass"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    done = subprocess.run(
        argv, env={"GANETI_ROOTDIR": str(shell.root)}, capture_output=True, text=True, timeout=120, check=True
    )
    return done, imported(done.stderr) - imported(bare.stderr)


def of_upper_floors(modules: set[str]) -> set[str]:
    """Modules of ours that a command has no use for."""
    mine = ("ganeti.base", "ganeti.cli", "ganeti.client", "ganeti.main")
    return {name for name in modules if name.startswith("ganeti.") and not name.startswith(mine)}


def imported(listing: str) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in listing.splitlines() if line.startswith("import time:")}


def test_a_reader_that_has_seen_enough_is_no_error(shell: Shell, table: FakeMaster) -> None:
    table.rows = table.rows * 20_000
    argv = gnt("instance", "list", "-o", "name", root=shell.root)
    with subprocess.Popen(
        argv, env={"GANETI_ROOTDIR": str(shell.root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 1


def on_a_terminal(argv: list[str], shell: Shell, typed: bytes) -> tuple[int, str]:
    """Run a command with a terminal of its own, type, and return its exit status and what was seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, {"GANETI_ROOTDIR": str(shell.root), "TERM": "xterm"})
    seen = b""
    os.write(terminal, typed)
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break  # the other end is closed
        if not data:
            break
        seen += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_a_question_is_asked_on_the_terminal(shell: Shell, master: FakeMaster) -> None:
    status, seen = on_a_terminal(gnt("instance", "remove", "web1", root=shell.root), shell, b"y\n")
    assert status == 0
    assert "removes instance web1" in seen
    assert master.submitted[0][0]["OP_ID"] == "OP_INSTANCE_REMOVE"


def test_a_terminal_shows_titles_and_errors_in_colour(shell: Shell, table: FakeMaster) -> None:
    table.rows[0][2] = [0, "ERROR_down"]
    _, seen = on_a_terminal(gnt("instance", "list", "-o", "name,status", root=shell.root), shell, b"")
    assert "\x1b[1mInstance" in seen
    assert "\x1b[31mweb0" in seen
    argv = gnt("instance", "list", "-o", "name,status", root=shell.root)
    done = subprocess.run(
        argv, env={"GANETI_ROOTDIR": str(shell.root)}, capture_output=True, text=True, timeout=120, check=True
    )
    assert "\x1b" not in done.stdout

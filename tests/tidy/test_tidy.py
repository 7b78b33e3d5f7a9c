"""Hold the tree to the rules of the house that a machine can check and that ruff, mypy and import-linter do not.

A line that breaks a ban for a good reason says so itself: `... # tidy: the reason, as a sentence.`
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE_SUFFIXES = frozenset({".py", ".sh", ".js", ".ts", ".css"})
LONGEST_FILE_LINES = 700
NAMELESS = re.compile(r"(\w+_)?(utils?|helpers?|common|misc)")
EXCUSED = re.compile(r"# tidy: \w+ \w+")
# Written as a pattern, so that this file does not itself name what it looks for.
REGISTRY = re.compile(r"\b(pypi|pythonhosted|npmjs|(deb|ftp|security|snapshot)\.debian)\.(org|com)\b")
# Directories that any machine has: to name one of these tells nothing of the machine at hand.
EVERYWHERE = frozenset(map(Path, ["/", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp"]))


@dataclass(frozen=True, kw_only=True)
class Ban:
    """Names that code below `scope` must not use, unless it is below `unless`."""

    names: re.Pattern[str]
    instead: str
    scope: tuple[str, ...] = ("src/",)
    unless: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        return path.startswith(self.scope) and not path.startswith(self.unless)


BANS = [
    Ban(
        names=re.compile(r"asyncio\.(create_task|ensure_future)"),
        instead="start it in a scope of ganeti.base.tasks: no task without a parent",
        scope=("src/", "sim/", "lab/"),
        unless=("src/ganeti/base/",),
    ),
    Ban(
        names=re.compile(r"time\.(time|time_ns)|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"),
        instead="take a clock through the constructor",
        scope=("src/", "sim/"),
        unless=("src/ganeti/base/", "src/ganeti/main/"),
    ),
    Ban(
        names=re.compile(r"time\.(monotonic|monotonic_ns|sleep)"),
        instead="take a clock through the constructor",
        unless=("src/ganeti/base/", "src/ganeti/cli/", "src/ganeti/lab/", "src/ganeti/main/"),
    ),
    Ban(
        names=re.compile(r"random\.(?!Random$|SystemRandom$)\w+"),
        instead="take a random.Random through the constructor",
        scope=("src/", "sim/"),
    ),
    Ban(
        names=re.compile(r"uuid\.uuid[14]"),
        instead="take a source of ids through the constructor",
        scope=("src/", "sim/"),
        unless=("src/ganeti/base/", "src/ganeti/main/"),
    ),
    Ban(
        names=re.compile(r"os\.(system|popen)"),
        instead="run the tool with a list of arguments",
        scope=("src/", "sim/", "lab/", "tests/", "bench/"),
    ),
    Ban(
        names=re.compile(r"subprocess|asyncio\.create_subprocess_(exec|shell)"),
        instead="take a runner of processes through the constructor",
        unless=("src/ganeti/base/", "src/ganeti/cli/", "src/ganeti/lab/", "src/ganeti/main/"),
    ),
    Ban(
        names=re.compile(r"(sim|lab|tests|bench)(\.\w+)*"),
        instead="what is shipped stands without the simulation, the lab and the tests",
    ),
]


def own_files() -> list[str]:
    """Name what belongs to the project: tracked by git, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(name for name in set(listing.stdout.split("\0")) if name and (ROOT / name).is_file())


FILES = own_files()
MODULES = [name for name in FILES if name.endswith(".py")]


def references(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of all that is imported, and of each attribute of an imported name."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
                imported[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node, imported)):
            yield node.lineno, name


def dotted(node: ast.expr, imported: dict[str, str]) -> str | None:
    match node:
        case ast.Name(id=name):
            return imported.get(name)
        case ast.Attribute(value=value, attr=attr):
            owner = dotted(value, imported)
            return f"{owner}.{attr}" if owner else None
        case _:
            return None


def breaches(path: str, source: str) -> list[str]:
    """Say where the code breaks which ban, one line for each place."""
    bans = [ban for ban in BANS if ban.covers(path)]
    lines = source.splitlines()
    found = {
        (line, name, ban.instead)
        for line, name in references(ast.parse(source, filename=path))
        for ban in bans
        if ban.names.fullmatch(name) and not EXCUSED.search(lines[line - 1])
    }
    return [f"{path}:{line}: {name} is banned here: {instead}" for line, name, instead in sorted(found)]


def report(rule: str, places: list[str]) -> None:
    """Fail with every place at once, so that one run suffices to mend all."""
    if places:
        pytest.fail(f"{rule}\n" + "\n".join(f"  {place}" for place in places), pytrace=False)


def test_no_code_uses_a_banned_name():
    report("Banned names:", [place for path in MODULES for place in breaches(path, (ROOT / path).read_text())])


def test_every_module_says_in_its_first_line_what_it_is_for():
    places = []
    for path in MODULES:
        docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(), filename=path)) or ""
        first = docstring.partition("\n")[0]
        if not first:
            places.append(f"{path}: has no docstring")
        elif not first.endswith("."):
            places.append(f"{path}: the first line does not end in a period: {first!r}")
    report("A module starts with one sentence that says what it is for:", places)


def test_no_module_has_a_name_that_says_nothing():
    places = [path for path in MODULES if any(NAMELESS.fullmatch(part) for part in Path(path).with_suffix("").parts)]
    report("Name a module after what is in it:", places)


def test_no_file_is_too_long_for_a_sitting():
    sizes = {path: len((ROOT / path).read_text().splitlines()) for path in FILES if Path(path).suffix in CODE_SUFFIXES}
    places = [f"{path}: {lines} lines" for path, lines in sizes.items() if lines > LONGEST_FILE_LINES]
    report(f"Look for the seam in a file of more than {LONGEST_FILE_LINES} lines:", places)


def test_no_file_names_this_machine_or_a_package_registry():
    # Not within a longer path, as in "$scratch"/work; of the directory above, only what lies in it.
    absolute = r"""(?<![\w.}-])(?<![\w}]["'])"""
    wanted = [re.escape(str(ROOT)) + r"(?![\w.-])"]
    if ROOT.parent not in EVERYWHERE:
        wanted.append(re.escape(str(ROOT.parent)) + r"/\w+")
    machine = re.compile(absolute + f"({'|'.join(wanted)})")
    places = []
    for path in FILES:
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue  # a picture or an archive
        for pattern in (machine, REGISTRY):
            places += [f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}" for hit in pattern.finditer(text)]
    report("The project must not depend on one machine or one mirror:", places)


@pytest.mark.parametrize(
    "path,source",
    [
        ("src/ganeti/ops/a.py", "import asyncio\nasyncio.create_task(f())"),
        ("src/ganeti/ops/a.py", "import asyncio as aio\naio.ensure_future(f())"),
        ("src/ganeti/ops/a.py", "from asyncio import create_task"),
        ("src/ganeti/ops/a.py", "import time\nclass A:\n    at = field(default_factory=time.time)"),
        ("src/ganeti/ops/a.py", "from datetime import datetime\ndatetime.now()"),
        ("src/ganeti/base/a.py", "import random\nrandom.uniform(0, 5)"),
        ("sim/a.py", "from random import choice"),
        ("tests/a.py", "import os\nos.system('ls')"),
        ("src/ganeti/node/a.py", "import subprocess"),
        ("src/ganeti/node/a.py", "from subprocess import run"),
        ("src/ganeti/node/a.py", "def f():\n    import asyncio\n    asyncio.create_subprocess_exec('ls')"),
        ("src/ganeti/main/a.py", "from sim.hosts import Host"),
        ("src/ganeti/ops/a.py", "import time\ntime.time()  # tidy: because"),
    ],
)
def test_a_banned_name_is_found_however_it_is_spelt(path: str, source: str):
    assert breaches(path, source)


@pytest.mark.parametrize(
    "path,source",
    [
        ("src/ganeti/ops/a.py", "async def f(scope, time):\n    scope.create_task(g())\n    time.time()"),
        ("src/ganeti/ops/a.py", "from random import Random\nrng = Random(7)\nrng.uniform(0, 5)"),
        ("src/ganeti/base/clock.py", "import time\ntime.time()"),
        ("src/ganeti/cli/a.py", "import subprocess"),
        ("src/ganeti/ops/a.py", "from ganeti.placement import balance\nbalance.lab.sim()"),
        ("src/ganeti/ops/a.py", "import time\ntime.time()  # tidy: the page shows when it was built."),
        ("tests/a.py", "import subprocess, time\ntime.time()"),
    ],
)
def test_what_is_allowed_is_left_alone(path: str, source: str):
    assert breaches(path, source) == []

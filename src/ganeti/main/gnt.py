"""The programs `gnt-*`: give the commands this machine's terminal, clock and paths, and run one.

Every import here is paid by every command; `tests/unit/cli/test_startup.py` counts them.
"""

from __future__ import annotations

import gc
import sys
import time
from os import O_NOCTTY, O_RDWR, O_WRONLY, devnull, dup2, environ
from os import open as open_handle

from ganeti.base.paths import from_environment
from ganeti.cli.driver import run
from ganeti.cli.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from ganeti.cli.session import Local

LOCAL_COMMANDS = {
    "cluster init": "ganeti.main.bootstrap:init",
    "cluster destroy": "ganeti.main.bootstrap:destroy",
    "cluster command": "ganeti.main.fleet:command",
    "cluster copyfile": "ganeti.main.fleet:copyfile",
    "cluster master-failover": "ganeti.main.failover:master_failover",
    "cluster master-ping": "ganeti.main.failover:master_ping",
}
"""Commands that do their work here and not in the master: `function(options, arguments) -> exit status`."""


def cluster() -> int:
    """`gnt-cluster`."""
    from ganeti.cli.cluster import GROUP

    return _main(GROUP)


def debug() -> int:
    """`gnt-debug`."""
    from ganeti.cli.debug import GROUP

    return _main(GROUP)


def group() -> int:
    """`gnt-group`."""
    from ganeti.cli.group import GROUP

    return _main(GROUP)


def instance() -> int:
    """`gnt-instance`."""
    from ganeti.cli.instance import GROUP

    return _main(GROUP)


def job() -> int:
    """`gnt-job`."""
    from ganeti.cli.job import GROUP

    return _main(GROUP)


def node() -> int:
    """`gnt-node`."""
    from ganeti.cli.node import GROUP

    return _main(GROUP)


def os() -> int:
    """`gnt-os`."""
    from ganeti.cli.os import GROUP

    return _main(GROUP)


def _main(group: Any) -> int:
    gc.disable()  # a command lives too briefly to gain from it, and a long list would be walked again and again
    session = Session(
        paths=from_environment(),
        environ=environ,
        out=sys.stdout,
        err=sys.stderr,
        now_ns=time.time_ns,
        locals=LOCAL_COMMANDS,
        load_local=_load,
        open_terminal=_open_terminal,
        run_program=_run_program,
    )
    try:
        status = run(group, sys.argv[1:], session)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read the output has seen enough, as `head` does; what is left in the buffer has nowhere to go
        dup2(open_handle(devnull, O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _load(where: str) -> Local:
    module, _, name = where.partition(":")
    function: Local = getattr(__import__(module, fromlist=[name]), name)
    return function


def _open_terminal() -> TextIO:
    from io import FileIO, TextIOWrapper

    # a terminal cannot be sought in, which is why `open` for reading and writing refuses it
    terminal = FileIO(open_handle("/dev/tty", O_RDWR | O_NOCTTY), "w+")
    return TextIOWrapper(terminal, encoding="utf-8", errors="replace")


def _run_program(argv: list[str], stdin: bytes | None = None) -> int:
    import subprocess

    return subprocess.run(argv, check=False, input=stdin).returncode

"""What all daemons share: options, one at a time, going to the background, signals, logs.

A start in the background returns when the daemon serves, or fails with its words and exit status: whoever starts
it need not guess.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from ganeti.base.errors import GanetiError
from ganeti.base.log import Log
from ganeti.base.paths import Paths, from_environment
from ganeti.main import logs

EXIT_FAILURE: Final = 1
EXIT_NOT_MASTER: Final = 11
EXIT_NODE_NOT_SET_UP: Final = 12
"""Exit codes (spec: cli, general)."""

_log: Final = Log(__name__)


class CannotStart(Exception):
    """The daemon cannot serve; `status` is its exit status."""

    def __init__(self, message: str, *, status: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.status = status


class Options(NamedTuple):
    """What was asked for on the command line. `port` and `bind` are None where the settings decide."""

    foreground: bool = False
    debug: bool = False
    port: int | None = None
    bind: str | None = None


class Kind(NamedTuple):
    """One daemon: `ganeti-noded` with its log below `node-daemon.log`."""

    name: str
    log_name: str
    about: str
    listens: bool = True


class Daemon:
    """A running daemon, as its body sees it."""

    def __init__(self, kind: Kind, options: Options, paths: Paths, *, on_ready: Callable[[], None]) -> None:
        self.kind = kind
        self.options = options
        self.paths = paths
        self.stop = asyncio.Event()
        """Set by SIGTERM or SIGINT: finish and return."""
        self.on_hangup: list[Callable[[], None]] = []
        """Called on SIGHUP, after the log was opened anew."""
        self._on_ready = on_ready

    def ready(self) -> None:
        """Say that requests are served now."""
        _log.info("serving", daemon=self.kind.name, pid=os.getpid())
        self._on_ready()


Body = Callable[[Daemon], Awaitable[None]]


def run(kind: Kind, body: Body, argv: Sequence[str] | None = None, *, version: str) -> int:
    """Run a daemon from its command line to its exit status.

    `body` serves until `Daemon.stop` is set; it raises `CannotStart` with words for the operator.
    """
    options = _parse(kind, argv, version=version)
    paths = from_environment()
    try:
        pid_file = PidFile(paths.pid_file(kind.name), kind.name)
    except CannotStart as error:
        return _fail(kind, error)
    with pid_file:
        if options.foreground:
            return _serve(kind, options, paths, body, pid_file, on_ready=_nothing)
        return _in_background(kind, options, paths, body, pid_file)


class PidFile:
    """The pid file, locked for as long as the daemon lives. Its lock, not its content, says who runs.

    `CannotStart` when another process has it.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        self._handle = self._lock(name)

    def write(self) -> None:
        """Put the pid of this process in."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Take the file away; the lock goes with the process."""
        os.unlink(self._path)

    def __enter__(self) -> PidFile:
        return self

    def __exit__(self, *failure: object) -> None:
        os.close(self._handle)

    def _lock(self, name: str) -> int:
        patience_s = 1.0
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == os.stat(self._path).st_ino:
                    return handle
            except BlockingIOError:
                pid = os.pread(handle, 32, 0).decode().strip()
                # Who only looks (`running_pid`) has the lock for a moment, and a starting one has not written yet.
                if (pid.isdigit() and _is_alive(int(pid))) or patience_s <= 0:
                    os.close(handle)
                    raise CannotStart(f"{name} runs already, with pid {pid or 'unknown'}") from None
                time.sleep(0.05)
                patience_s -= 0.05
            except FileNotFoundError:
                pass  # the one that ended took its file along between our two steps
            os.close(handle)


def _is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def running_pid(paths: Paths, name: str) -> int | None:
    """The pid of a daemon that runs now, or None: a pid file that nobody has locked is a leftover."""
    try:
        handle = os.open(paths.pid_file(name), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(handle, 32, 0).decode().strip()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(handle)


def _serve(
    kind: Kind, options: Options, paths: Paths, body: Body, pid_file: PidFile, *, on_ready: Callable[[], None]
) -> int:
    os.umask(0o027)
    pid_file.write()
    try:
        file = logs.start(paths.log_file(kind.log_name), debug=options.debug, also_stderr=options.foreground)
    except OSError as error:
        pid_file.remove()
        return _fail(kind, CannotStart(f"cannot write its log: {error}"))
    try:
        asyncio.run(_live(Daemon(kind, options, paths, on_ready=on_ready), body, file))
    except CannotStart as error:
        _log.error("cannot start", reason=str(error))
        return _fail(kind, error)
    except GanetiError as error:
        _log.bug("ended by an error", error)
        return _fail(kind, CannotStart(error.message))
    except Exception as error:
        _log.bug("ended by a bug", error)
        return _fail(kind, CannotStart("".join(traceback.format_exception_only(error)).strip()))
    else:
        _log.info("stopped", daemon=kind.name)
        return 0
    finally:
        pid_file.remove()


async def _live(daemon: Daemon, body: Body, file: logs.ReopeningFile) -> None:
    def stop(signal_number: signal.Signals) -> None:
        _log.info("stopping", signal=signal_number.name)
        daemon.stop.set()

    def hang_up() -> None:
        file.reopen()
        _log.info("log opened anew")
        for call in daemon.on_hangup:
            call()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await body(daemon)


def _in_background(kind: Kind, options: Options, paths: Paths, body: Body, pid_file: PidFile) -> int:
    """Fork twice; the first process waits for one line, `ready` or `STATUS message`, and answers for the daemon."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writer)
        os.waitpid(child, 0)
        return _report(kind, paths, reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    return _be_the_daemon(kind, options, paths, body, pid_file, writer)


def _be_the_daemon(kind: Kind, options: Options, paths: Paths, body: Body, pid_file: PidFile, writer: int) -> NoReturn:
    status = EXIT_FAILURE
    try:
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(writer, 2)  # until it serves, its words reach whoever started it
        os.close(writer)

        def ready() -> None:
            sys.stderr.flush()
            os.write(2, _READY)
            os.dup2(null, 2)

        status = _serve(kind, options, paths, body, pid_file, on_ready=ready)
        sys.stderr.flush()
        os.write(2, f"\n{_STATUS}{status}".encode())
    finally:
        sys.stderr.flush()
        os._exit(status)


_READY: Final = b"\nready"
_STATUS: Final = "status "


def _report(kind: Kind, paths: Paths, reader: int) -> int:
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    if said.endswith(_READY):
        return 0
    words, _, status = said.decode(errors="replace").rpartition(f"\n{_STATUS}")
    if words.strip():
        print(words.strip(), file=sys.stderr)
    else:
        print(f"{kind.name}: ended before it served; see {paths.log_file(kind.log_name)}", file=sys.stderr)
    return int(status) if status.isdigit() else EXIT_FAILURE


def _parse(kind: Kind, argv: Sequence[str] | None, *, version: str) -> Options:
    parser = argparse.ArgumentParser(prog=kind.name, description=kind.about)
    parser.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground and log to stderr too")
    parser.add_argument("-d", "--debug", action="store_true", help="log every step")
    if kind.listens:
        parser.add_argument("-p", "--port", type=_port, metavar="PORT", help="listen on this TCP port")
        parser.add_argument("-b", "--bind", metavar="ADDRESS", help="listen on this address only")
    parser.add_argument("--version", action="version", version=f"{kind.name} {version}")
    try:
        found = parser.parse_args(argv)
    except SystemExit as end:
        # Bad usage is exit status 1 in this family of commands (spec: cli, general), argparse says 2.
        raise SystemExit(EXIT_FAILURE if end.code else 0) from None
    return Options(
        foreground=found.foreground,
        debug=found.debug,
        port=getattr(found, "port", None),
        bind=getattr(found, "bind", None),
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; it is a number up to 65535")
    return int(text)


def _fail(kind: Kind, error: CannotStart) -> int:
    print(f"{kind.name}: {error}", file=sys.stderr)
    return error.status


def _nothing() -> None:
    return

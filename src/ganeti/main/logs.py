"""Logs of daemons: one line for each event, `time level event key=value...`, to a file that can be rotated."""

from __future__ import annotations

import datetime
import logging
import os
import re
import sys
from typing import Final, TextIO

from ganeti.base.log import JOB

_PLAIN: Final = re.compile(r"[^\s\"'=\\]+")


class LineFormat(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO instance started job=7 instance=... took_s=1.2`.

    A traceback follows on lines of its own, indented, so that every line that starts with a date is an event.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        at = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        words = [at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z", record.levelname]
        words.append(record.getMessage().replace("\n", "\\n"))
        fields: dict[str, object] = dict(getattr(record, "fields", {}))
        job = JOB.get()
        if job is not None:
            fields = {"job": job, **fields}
        words += [f"{name}={_value(value)}" for name, value in fields.items() if value is not None]
        line = " ".join(words)
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n  " + self.formatException(record.exc_info).replace("\n", "\n  ")
        return line


class ReopeningFile(logging.StreamHandler[TextIO]):
    """A log file that is opened anew on demand, after it was moved away by log rotation."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        super().__init__(self._open())

    def reopen(self) -> None:
        """Go on in a new file at the same path."""
        self.acquire()
        try:
            old = self.setStream(self._open())
        finally:
            self.release()
        if old is not None:
            old.close()

    def _open(self) -> TextIO:
        return open(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "a", encoding="utf-8")


def start(path: str, *, debug: bool, also_stderr: bool) -> ReopeningFile:
    """Send the events of the whole process to the file, and to stderr too where somebody watches."""
    file = ReopeningFile(path)
    handlers: list[logging.Handler] = [file]
    if also_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(LineFormat())
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.WARNING)  # libraries: only what may need somebody
    logging.getLogger("ganeti").setLevel(logging.DEBUG if debug else logging.INFO)
    return file


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

"""Events with fields instead of prose: `log.info("instance started", instance=uuid, took_s=took)`.

The line format is chosen in `ganeti.main.logs`. Ids go in, not dumps; secrets never. The job on whose behalf
something happens comes from the context, so that nobody has to hand it down.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

JOB: Final[ContextVar[int | None]] = ContextVar("job", default=None)
"""The id of the job the running task works for; the executor of jobs sets it."""


class Log:
    """Where one part of the program writes its events."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """What helps to follow a run step by step."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happened as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What did not, and somebody may want to know."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What did not, and somebody must act."""
        self._write(logging.ERROR, event, fields)

    def bug(self, event: str, error: BaseException, **fields: object) -> None:
        """An error nobody foresaw, with its traceback."""
        self._write(logging.ERROR, event, fields, error)

    def _write(self, level: int, event: str, fields: dict[str, object], error: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=error)

"""The four classes of failure, by who must act; every error of the project is one of them.

Mapped once to exit codes (cli) and HTTP status (api). The codes of `Refused` are the `ECODE` strings that
clients of the cluster already know (spec: opcodes, "Prerequisite error codes").
Commands import this module whenever they wait for a job: `typing` would be a third of what they cost.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    ErrorCode = Literal[
        "resolver_error",
        "insufficient_resources",
        "temp_insufficient_resources",
        "wrong_input",
        "wrong_state",
        "unknown_entity",
        "already_exists",
        "resource_not_unique",
        "internal_error",
        "environment_error",
    ]
else:
    ErrorCode = str

RESOLVER: Final = "resolver_error"
NO_RESOURCES: Final = "insufficient_resources"
NO_RESOURCES_NOW: Final = "temp_insufficient_resources"
WRONG_INPUT: Final = "wrong_input"
WRONG_STATE: Final = "wrong_state"
UNKNOWN: Final = "unknown_entity"
EXISTS: Final = "already_exists"
NOT_UNIQUE: Final = "resource_not_unique"
INTERNAL: Final = "internal_error"
ENVIRONMENT: Final = "environment_error"


class GanetiError(Exception):
    """What all errors of the project have in common: a sentence, and facts as fields."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class Refused(GanetiError):
    """Cannot be done as asked; nothing was changed. The caller acts."""

    def __init__(self, code: ErrorCode, message: str, **facts: object) -> None:
        super().__init__(message, **facts)
        self.code: ErrorCode = code


class HooksAborted(Refused):
    """Scripts of the operator said no before anything was done. `failures` are (node, script, output)."""

    def __init__(self, failures: list[tuple[str, str, str]]) -> None:
        said = [f"node {node}, script {script}: {' '.join(output.split())}" for node, script, output in failures]
        super().__init__(ENVIRONMENT, "hooks do not let it happen: " + "; ".join(said), failures=failures)
        self.failures = failures


class Unavailable(GanetiError):
    """Cannot be done now: a node is silent, the store is down, a wait is over. Wait and retry."""


class Failed(GanetiError):
    """A deed on a node went wrong. The operator acts.

    Facts that are usual: `node`, `argv`, `status`, `stderr` (the last lines).
    """


class Bug(GanetiError):
    """An invariant does not hold. We act; the process that found it says so loudly."""

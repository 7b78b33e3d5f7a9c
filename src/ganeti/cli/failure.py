"""An error as a user reads it, and the exit status it means. Imported only when something went wrong."""

from __future__ import annotations

from ganeti.base.errors import Bug, Failed, GanetiError, HooksAborted, Refused, Unavailable
from ganeti.client.errors import NotMaster, NotSetUp

NOT_MASTER, NOT_SET_UP = 11, 12


def describe(error: GanetiError) -> str:
    """The text of an error, in the form scripts know."""
    match error:
        case NotMaster() | NotSetUp():
            return f"Failure: {error.message}"
        case HooksAborted():
            return "\n".join(["Failure: hooks execution failed:", *map(_failed_hook, error.failures)])
        case Refused():
            return (
                "Failure: prerequisites not met for this operation:\n"
                f"error type: {error.code}, error details:\n{error.message}"
            )
        case Unavailable():
            return f"Failure: not possible now:\n{error.message}"
        case Failed():
            return f"Failure: command execution error:\n{error.message}"
        case Bug():
            return f"Failure: internal error, please report it:\n{error.message}"
        case _:
            return f"Failure: {error.message}"


def exit_status(error: GanetiError) -> int:
    """1, 11 (not the master) or 12 (in no cluster)."""
    match error:
        case NotMaster():
            return NOT_MASTER
        case NotSetUp():
            return NOT_SET_UP
        case _:
            return 1


def _failed_hook(failure: tuple[str, str, str]) -> str:
    node, script, output = failure
    return f"  node: {node}, script: {script}" + (f", output: {output}" if output else " (no output)")

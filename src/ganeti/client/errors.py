"""Why the master cannot be asked, and its errors as this project's classes. Imported only when something is wrong."""

from __future__ import annotations

import errno
import os

from ganeti.base.errors import (
    ENVIRONMENT,
    WRONG_INPUT,
    Bug,
    Failed,
    GanetiError,
    HooksAborted,
    Refused,
    Unavailable,
)
from ganeti.client.settings import own_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.base.errors import ErrorCode


class NotMaster(Refused):
    """This node is not the master; the command belongs there."""


class NotSetUp(Refused):
    """This host is in no cluster, or only half."""


class Unreachable(Unavailable):
    """The master daemon does not answer. It may be started again meanwhile."""


def from_answer(status: int, body: Any) -> GanetiError:
    """The error an answer carries: `{"error": {"class", "code", "message", "facts"}}`."""
    said = body.get("error") if isinstance(body, dict) else None
    if not isinstance(said, dict):
        return Bug(f"the master daemon answered with HTTP status {status} and no error", body=body)
    return from_parts(
        str(said.get("class", "")), said.get("code"), str(said.get("message", "")), said.get("facts") or {}
    )


def from_parts(kind: str, code: str | None, message: str, facts: dict[str, object]) -> GanetiError:
    """An error by the name of its class."""
    facts = {key: value for key, value in facts.items() if key not in ("code", "message")}
    match kind.lower():
        case "refused":
            return Refused(_code(code), message, **facts)
        case "unavailable":
            return Unavailable(message, **facts)
        case "bug":
            return Bug(message, **facts)
        case _:
            return Failed(message, **facts)


def from_result(result: Any) -> GanetiError:
    """The error an operation ended with, as stored: `[class name, [message, code]]`, or a dictionary of parts."""
    match result:
        case [str(kind), [str(message), str(code)], *_] if kind == "OpPrereqError":
            return Refused(_code(code), message)
        case [str(kind), [str(message), *_], *_] if kind == "OpPrereqError":
            return Refused(WRONG_INPUT, message)
        case ["HooksAbort", [[*failures]], *_]:
            return HooksAborted([(str(node), str(script), str(output)) for node, script, output in failures])
        case [str(kind), [str(message), *_], *_]:
            known = {"Unavailable": Unavailable, "ProgrammerError": Bug, "Bug": Bug}
            return known.get(kind, Failed)(message)
        case {"class": str(kind), "message": str(message)}:
            return from_parts(kind, result.get("code"), message, result.get("facts") or {})
        case _:
            return Failed(str(result))


def _code(code: str | None) -> ErrorCode:
    # what the server says is shown as it is, also a code this client does not know
    return code or WRONG_INPUT  # type: ignore[return-value]


def unreachable(error: OSError, socket_path: str, settings_path: str) -> GanetiError:
    """Why the master's socket does not answer, and the way out."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return _root_only()
    try:
        settings = own_settings(settings_path)
    except GanetiError as reason:
        return reason
    master, here = settings.get("master_name"), settings.get("node_name")
    if master != here:
        return NotMaster(
            WRONG_INPUT,
            f"this node ({here}) is not the master of cluster {settings.get('cluster_name')}; run the command on {master}",
            master=master,
        )
    if isinstance(error, TimeoutError):
        return Unreachable(f"the master daemon does not answer in time (socket {socket_path}); its log may say why")
    return Unreachable(
        f"the master daemon does not answer (socket {socket_path}: {_reason(error)}):"
        " start it with 'ganeti-daemons start'"
    )


def unreadable(path: str, error: OSError | ValueError) -> GanetiError:
    """Why the settings of this node cannot be read, and the way out."""
    match error:
        case FileNotFoundError():
            return NotSetUp(WRONG_INPUT, "this host is in no cluster; create one with 'gnt-cluster init NAME'")
        case PermissionError():
            return _root_only()
        case _:
            return NotSetUp(ENVIRONMENT, f"cannot read what this node knows of its cluster: {path}: {error}")


def _root_only() -> Refused:
    return Refused(
        ENVIRONMENT,
        f"only root may use this command (you are user number {os.geteuid()}); try it with sudo",
        uid=os.geteuid(),
    )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)

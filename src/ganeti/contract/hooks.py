"""Hooks: the operator's scripts that run before and after an operation (spec: interfaces, section 2).

Scripts stand in `/etc/ganeti/hooks/PATH-pre.d` and `PATH-post.d` of each node. One that fails before an operation
stops it; what one says afterwards is only told.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ganeti.model.objects import Uuid

Phase = Literal["pre", "post"]
ObjectType = Literal["CLUSTER", "NODE", "GROUP", "NETWORK", "INSTANCE", "NOT_APPLICABLE"]

SKIPPED: Final = 0
FAILED: Final = 1
SUCCEEDED: Final = 2


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation tells its hooks, and where they run.

    `env` has the names without the prefix `GANETI_`, and without what is common to all operations. Nodes that are
    not in the cluster, or marked offline, when a phase begins are left out then.
    """

    path: str
    object_type: ObjectType
    env: dict[str, str] = {}
    pre_nodes: tuple[Uuid, ...] = ()
    post_nodes: tuple[Uuid, ...] = ()


class ScriptResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one script; `script` is its path below the directory of hooks."""

    script: str
    status: Literal[0, 1, 2]
    """Skipped (not executable, or no name for a script), failed, succeeded."""
    output: str = ""

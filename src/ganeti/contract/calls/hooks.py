"""Calls about the hook scripts of a node."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.hooks import Phase, ScriptResult


class HooksFound(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the scripts that would run, by phase, in their order."""

    pre: tuple[str, ...] = ()
    post: tuple[str, ...] = ()


class HooksFind(Call[HooksFound], frozen=True, kw_only=True, tag="hooks.find"):
    """Which scripts are there for operations of that path? Most nodes have none, and are asked no more."""

    timeout_s: ClassVar[float] = 10.0
    only_reads: ClassVar[bool] = True
    path: str


class HooksRan(msgspec.Struct, frozen=True, kw_only=True):
    """What came of each script, in the order in which they ran."""

    results: tuple[ScriptResult, ...] = ()


class HooksRun(Call[HooksRan], frozen=True, kw_only=True, tag="hooks.run"):
    """Run the scripts of one phase with exactly that environment (and PATH, and where this node keeps its data).

    All of them together have `within_s`; one that takes longer is ended and counts as failed.
    """

    path: str
    phase: Phase
    env: dict[str, str] = {}
    within_s: float = 900.0

    @property
    def limit_s(self) -> float:
        """The scripts' time, and some for the way."""
        return self.within_s + 60.0

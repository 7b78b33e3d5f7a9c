"""Structured background tasks: none without a parent, none whose error is nobody's.

`Scope` is for daemons: children come and go, a child that fails ends the scope with its error. Everything
else uses `asyncio.TaskGroup` directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class Scope:
    """An `asyncio.TaskGroup` whose leaving cancels the children instead of waiting for them."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._children: dict[asyncio.Task[Any], None] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._children):
            child.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `coroutine` as a child; its failure cancels the siblings and surfaces where the scope ends."""
        child = self._group.create_task(coroutine, name=name)
        self._children[child] = None
        child.add_done_callback(lambda done: self._children.pop(done, None))
        return child

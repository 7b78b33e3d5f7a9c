"""The handlers of node calls: one coroutine for each type in `ganeti.contract.calls`, found by its decorator."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from ganeti.contract.calls import Call
from ganeti.node.host import Host

C = TypeVar("C", bound=Call[Any])
R = TypeVar("R")

Handler = Callable[[Host, Any], Awaitable[Any]]

HANDLERS: Final[dict[str, tuple[type[Call[Any]], Handler]]] = {}
"""Tag of a call to its type and handler, filled by `load`."""


def handles(kind: type[C]) -> Callable[[Callable[[Host, C], Awaitable[R]]], Callable[[Host, C], Awaitable[R]]]:
    """Register the decorated coroutine as the handler of a call."""

    def register(handler: Callable[[Host, C], Awaitable[R]]) -> Callable[[Host, C], Awaitable[R]]:
        tag = str(kind.__struct_config__.tag)
        if tag in HANDLERS:
            raise TypeError(f"two handlers for {tag}")
        HANDLERS[tag] = (kind, handler)
        return handler

    return register


def load() -> dict[str, tuple[type[Call[Any]], Handler]]:
    """Import every module here and return all handlers."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return HANDLERS

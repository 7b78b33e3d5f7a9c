"""Floor 4: one operation, one file. Found by their place; importing one pulls in ports only, no daemon."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache


@cache
def load() -> None:
    """Import every operation, so that `contract.operation.REGISTRY` holds it."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)

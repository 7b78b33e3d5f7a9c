"""The versions of the software and of the interfaces it speaks, as `gnt-cluster version` and the API tell them."""

from __future__ import annotations

PROTOCOL = 4_000_000
"""Between daemons: major * 10^6 + minor * 10^4."""

CONFIG = 4_000_000
"""Of the stored configuration."""

OS_API = (20, 15, 10)
"""Of OS definitions, newest first (spec: interfaces, section 1)."""

EXPORT = 0
"""Of instance exports."""


def software() -> str:
    """The version that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ganeti")
    except PackageNotFoundError:
        return "unknown"

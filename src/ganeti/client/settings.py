"""What this node knows of its cluster without asking anybody (`contract.settings.NodeSettings`)."""

from __future__ import annotations

from ganeti.client import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def own_settings(path: str) -> dict[str, Any]:
    """The settings as JSON data. Raises `NotSetUp` when this host is in no cluster, `Refused` when one must be root."""
    try:
        with open(path, "rb") as file:
            settings: dict[str, Any] = fastjson.loads(file.read())
            return settings
    except (OSError, ValueError) as error:
        from ganeti.client.errors import unreadable

        raise unreadable(path, error) from error

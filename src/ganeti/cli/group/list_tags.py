"""`gnt-group list-tags`."""

from __future__ import annotations

from ganeti.cli import tags

COMMAND = tags.list_command("group")

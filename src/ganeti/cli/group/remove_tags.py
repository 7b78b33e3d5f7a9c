"""`gnt-group remove-tags`."""

from __future__ import annotations

from ganeti.cli import tags

COMMAND = tags.remove_command("group")

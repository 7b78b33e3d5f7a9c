"""`gnt-group add-tags`."""

from __future__ import annotations

from ganeti.cli import tags

COMMAND = tags.add_command("group")

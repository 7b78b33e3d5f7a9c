"""`gnt-instance list-fields`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.fields_command("instance", "Show all columns that 'gnt-instance list' can print")

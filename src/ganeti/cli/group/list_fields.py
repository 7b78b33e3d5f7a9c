"""`gnt-group list-fields`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.fields_command("group", "Show all columns that 'gnt-group list' can print")

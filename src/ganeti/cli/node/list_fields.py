"""`gnt-node list-fields`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.fields_command("node", "Show all columns that 'gnt-node list' can print")

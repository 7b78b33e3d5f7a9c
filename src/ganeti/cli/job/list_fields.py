"""`gnt-job list-fields`."""

from __future__ import annotations

from ganeti.cli import listing

COMMAND = listing.fields_command("job", "Show all columns that 'gnt-job list' can print")

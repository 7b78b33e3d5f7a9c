"""Floor 5: what speaks to the master's local API, for commands, tools and tests."""

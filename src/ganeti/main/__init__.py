"""Floor 7: the programs. Each reads settings, builds the real ports and runs; nobody else holds all keys."""

"""Floor 3: where things go. Pure; knows no daemon."""

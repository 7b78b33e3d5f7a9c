"""Floor 0: ports for time, chance, processes and files, and the words every floor shares."""

"""The simulated world: hosts, files, processes and wire in memory, on virtual time."""

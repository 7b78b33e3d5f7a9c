"""Floor 5: what a node does with a call: fence off old masters, answer repeats from a record, do the deed."""

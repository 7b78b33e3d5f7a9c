"""Jobs: accepted durably, started in a fair order, run with their undo written first, recovered after a crash."""

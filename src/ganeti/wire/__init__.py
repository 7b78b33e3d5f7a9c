"""Floor 3: carrying calls to nodes and answers back, over mutual TLS or in memory."""

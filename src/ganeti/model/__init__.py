"""Floor 1: the nouns of a cluster as frozen values, and pure rules about them. No I/O."""

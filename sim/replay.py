"""`python -m sim.replay SEED`: tell the story of one seed, event by event, and say what must not have been."""

from __future__ import annotations

import sys

from sim.story import tell


def main() -> int:
    """Exit status 1 when something was violated."""
    told = tell(int(sys.argv[1]))
    print("\n".join(told.trace))
    print(told)
    print(told.fingerprint)
    return 1 if told.violations else 0


if __name__ == "__main__":
    sys.exit(main())

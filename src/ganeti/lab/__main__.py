"""`python -m ganeti.lab` is `ganeti-lab`."""

import sys

from ganeti.lab.command import main

sys.exit(main())

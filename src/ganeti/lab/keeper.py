"""The process that holds a lab together: its first process, the fabric's network, and the mounts of all disks.

Everything else of the lab lives below it. When it ends, for whatever reason, the kernel ends all hosts and takes
their namespaces, mounts and interfaces with them: nothing has to be found and removed one by one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final

import msgspec

from ganeti.lab import groups, kernel
from ganeti.lab.network import fabric_script
from ganeti.lab.plan import LabPlan

STARTED: Final = b"started "
READY: Final = b"ready"


def main() -> int:
    """Read a plan from standard input; say `started PID` and, when the fabric is there, `ready`. Does not end."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LabPlan)
    trees, _ = groups.usable(plan.name)
    groups.join(trees, plan.name)
    os.setsid()
    kernel.unshare(kernel.NEW_PROCESSES | kernel.NEW_MOUNTS | kernel.NEW_NETWORK)
    pid = os.fork()
    if pid:
        os.write(1, STARTED + b"%d\n" % pid)
        return 0
    try:
        _hold(plan)
    except OSError as error:
        print(error, file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
    # Without the work of the interpreter's end: nothing here outlives this process anyway.
    os._exit(1)


def _hold(plan: LabPlan) -> None:
    os.closerange(3, 256)  # the lock of the lab is held by its starter only
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    subprocess.run(["ip", "-batch", "-"], input=fabric_script(plan), text=True, capture_output=True, check=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the first process of a namespace is deaf to what it does not handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans of the lab end without a trace
    os.write(1, READY + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    os.chdir("/")
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

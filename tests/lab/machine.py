"""A whole machine for a test that changes one: this machine's files under an overlay, its own network and processes.

Nothing that is done inside is seen outside, and when the machine is closed all of it is gone.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

CHECKOUT = Path(__file__).resolve().parents[2]

BOOT = r"""
set -euo pipefail
world=$1
checkout=$2
mount -t tmpfs -o mode=755 world "$world"
mkdir "$world/upper" "$world/work" "$world/root"
mount -t overlay -o lowerdir=/,upperdir="$world/upper",workdir="$world/work" machine "$world/root"
cd "$world/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
# The top of each hierarchy is the group that this process was in when its namespace was made.
for controller in "${@:3}"; do
    mkdir "sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller"
done
mount --rbind /dev dev
[ ! -e dev/kvm ] || mount --bind /dev/null dev/kvm
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
# A checkout that the masks above hide, or that is on a file system of its own, is shown where it is.
if [ ! -e ".$checkout/Makefile" ]; then
    mkdir -p ".$checkout" "$world/checkout-upper" "$world/checkout-work"
    layers="lowerdir=$checkout,upperdir=$world/checkout-upper,workdir=$world/checkout-work"
    mount -t overlay -o "$layers" checkout ".$checkout"
fi
# What this machine itself may have of ours at the moment.
rm -rf etc/ganeti etc/default/ganeti-os-tiny srv/ganeti var/lib/ganeti var/lib/ganeti-demo var/log/ganeti
printf '127.0.0.1 localhost' >etc/hosts
ip link set lo up
# The first process collects the orphans of the others, and ends all with itself when its input does. It says that
# the machine is up itself: who entered a moment before would still see the files of the machine around it.
exec chroot . bash -c 'echo booted; while read -r _; do :; done'
"""

ENTER_GROUPS = """
while [ "$1" != unshare ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
exec "$@"
"""

V1 = "/sys/fs/cgroup"
CONTROLLERS = ("cpu", "memory")
"""Hierarchies of version 1 that a machine can have of its own; version 2 lets no daemon stay beside the groups."""

CHANGED = r"""
cd "$1/upper"
find . -not -type d -printf '%P %y %m %s %l\n'
find . -mindepth 1 -type d -printf '%P\n' | while read -r directory; do
    [ -d "/$directory" ] || echo "$directory/"
done
cd "$1/root"
find run tmp -xdev -mindepth 1 -not -path "${2#/}" -printf '%p %y %m %s %l\n'
"""


class Machine:
    """A running machine. It sees the files of this one at the same paths; what it changes stays its own."""

    def __init__(self, scratch: Path, *, cgroups: bool = False) -> None:
        """Boot. Without `cgroups` (see `can_have_cgroups`) it has no control groups at all, else a tree of its own."""
        self._scratch = scratch
        self._groups = [Path(V1, each, f"lab-{os.getpid()}-{scratch.name}") for each in CONTROLLERS] if cgroups else []
        for group in self._groups:
            group.mkdir()
        self._starter = subprocess.Popen(
            [
                *["bash", "-euc", ENTER_GROUPS, "enter", *map(str, self._groups), "unshare"],
                *["--mount", "--net", "--uts", "--cgroup", "--pid", "--fork"],
                *["--kill-child=KILL", "--propagation", "private"],
                *["bash", "-c", BOOT, "boot", str(scratch), str(CHECKOUT), *(CONTROLLERS if cgroups else ())],
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._starter.stdout is not None
        said = self._starter.stdout.readline()
        if said != "booted\n":
            raise OSError(f"the machine does not boot: {said}{self._starter.stdout.read()}")
        children = Path(f"/proc/{self._starter.pid}/task/{self._starter.pid}/children").read_text().split()
        self._first_pid = children[0]

    def run(
        self, argv: Sequence[str], *, cwd: str = "/", env: Mapping[str, str] | None = None, timeout_s: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside; its output is one text."""
        return subprocess.run(
            self.inside(argv, cwd=cwd),
            env={"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )

    def inside(self, argv: Sequence[str], *, cwd: str = "/") -> list[str]:
        """The arguments of a program out here that runs this one inside."""
        return [
            "nsenter",
            f"--target={self._first_pid}",
            *["--mount", "--net", "--uts", "--cgroup", "--pid", "--root"],
            f"--wdns={cwd}",
            *argv,
        ]

    def sh(self, script: str, *, cwd: str = "/") -> str:
        """What a shell script prints; it must succeed."""
        done = self.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def path(self, path: str) -> Path:
        """A file or socket inside, as it is reached from out here."""
        return Path(f"/proc/{self._first_pid}/root{path}")

    def changed_files(self) -> list[str]:
        """Files that were written or removed since the boot began, and directories made; as `find` describes them."""
        done = subprocess.run(
            [
                "nsenter",
                f"--target={self._first_pid}",
                "--mount",
                "bash",
                "-euo",
                "pipefail",
                "-c",
                CHANGED,
                "changed",
                str(self._scratch),
                str(CHECKOUT),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.splitlines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._starter.kill()
        self._starter.wait()
        for group in self._groups:
            _remove_group(group)


def can_have_cgroups() -> bool:
    """Whether a machine can be booted with control groups here."""
    return all(os.access(Path(V1, controller, "cgroup.procs"), os.W_OK) for controller in CONTROLLERS)


def _remove_group(group: Path) -> None:
    """Take a group away with those below it, as soon as the last killed process has left it."""
    for below in group.iterdir():
        if below.is_dir():
            _remove_group(below)
    deadline = time.monotonic() + 10
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)

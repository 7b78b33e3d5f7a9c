"""A whole machine for a test that changes one: this machine's files under an overlay, its own network and processes.

Nothing that is done inside is seen outside, and when the machine is closed all of it is gone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

BOOT = r"""
set -euo pipefail
world=$1
mount -t tmpfs -o mode=755 world "$world"
mkdir "$world/upper" "$world/work" "$world/root"
mount -t overlay -o lowerdir=/,upperdir="$world/upper",workdir="$world/work" machine "$world/root"
cd "$world/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
# Control groups are not divided between machines: a guest of the same name elsewhere would share one.
mount -t tmpfs tmpfs sys/fs/cgroup
mount --rbind /dev dev
[ ! -e dev/kvm ] || mount --bind /dev/null dev/kvm
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
# What this machine itself may have of ours at the moment.
rm -rf etc/ganeti etc/default/ganeti-os-tiny srv/ganeti var/lib/ganeti var/lib/ganeti-demo var/log/ganeti
printf '127.0.0.1 localhost' >etc/hosts
ip link set lo up
# The first process collects the orphans of the others, and ends all with itself when its input does. It says that
# the machine is up itself: who entered a moment before would still see the files of the machine around it.
exec chroot . bash -c 'echo booted; while read -r _; do :; done'
"""

CHANGED = r"""
cd "$1/upper"
find . -not -type d -printf '%P %y %m %s %l\n'
find . -mindepth 1 -type d -printf '%P\n' | while read -r directory; do
    [ -d "/$directory" ] || echo "$directory/"
done
cd "$1/root"
find run tmp -mindepth 1 -printf '%p %y %m %s %l\n'
"""


class Machine:
    """A running machine. It sees the files of this one at the same paths; what it changes stays its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._starter = subprocess.Popen(
            [
                *[
                    "unshare",
                    "--mount",
                    "--net",
                    "--pid",
                    "--fork",
                    "--kill-child=KILL",
                    "--propagation",
                    "private",
                    "bash",
                    "-c",
                ],
                BOOT,
                "boot",
                str(scratch),
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
            [
                "nsenter",
                f"--target={self._first_pid}",
                *["--mount", "--net", "--pid", "--root"],
                f"--wdns={cwd}",
                *argv,
            ],
            env={"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )

    def sh(self, script: str, *, cwd: str = "/") -> str:
        """What a shell script prints; it must succeed."""
        done = self.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd)
        assert done.returncode == 0, done.stdout
        return done.stdout

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

"""A cluster of one node on a machine of its own, driven as a user does: by the commands, as processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.lab.machine import Machine

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = CHECKOUT / ".venv/bin"
KERNEL_CACHE = "/var/cache/ganeti-os-tiny"
BOOT_FILES = "/var/cache/ganeti-os-tiny-boot-of-a-test"

NODE = "node1.lab.example"
CLUSTER = "cluster.lab.example"
NET = "198.51.100"
STORAGE = "/srv/ganeti/file-storage"
KERNEL = "/var/lib/ganeti-os-tiny/vmlinuz"
INITRD = "/var/lib/ganeti-os-tiny/initrd.img"
KERNEL_ARGS = "ro quiet tsc=reliable mitigations=off"

INSTANCE_FIELDS = "name,uuid,status,admin_state,serial_no,mtime,os,tags,be/maxmem,disk.sizes,disk.uuids,nic.macs"

PATIENCE_S = 120.0
"""For what takes seconds on an idle machine."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts; needs root")
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU (package qemu-system-x86)")

_PREPARE = f"""
hostname {NODE}
ip link add xen-br0 type bridge
ip address add {NET}.1/24 dev xen-br0
ip link set xen-br0 up
printf '\\n%s\\n' '{NET}.1 {NODE} node1' '{NET}.2 {CLUSTER}' >>/etc/hosts
mkdir -p /etc/default /var/log /srv/ganeti/os
"""

_INSTALL_TINY = f"""
printf '%s\\n' 'TINY_CACHE_DIR={KERNEL_CACHE}' >/etc/default/ganeti-os-tiny
ln -s {CHECKOUT}/os/tiny /srv/ganeti/os/tiny
{CHECKOUT}/os/tiny/prepare default
"""

_SEEN = f"""
echo '== files'
find {STORAGE} /run/ganeti /tmp /srv/ganeti/os -xdev -mindepth 1 -not -path {CHECKOUT} -printf '%p %y %s %l\\n' | sort
echo '== store and certificates'
find /var/lib/ganeti -mindepth 1 -not -name '*-wal' -not -name '*-shm' -printf '%p %y\\n' | sort
echo '== control groups'
find /sys/fs/cgroup -mindepth 2 -type d
echo '== interfaces'
ip -oneline link | sed 's/^[0-9]*: //' | cut -d: -f1 | sort
echo '== processes'
# Without the programs that look, of this time and, not yet collected, of the last.
ps -eo pid=,comm=,args= | awk '$2 !~ /^(bash|nsenter|ps|awk|sort|sed|cut|find|ip)$/' | sort
echo '== mounts'
sort /proc/mounts
"""


def fetch_kernel() -> None:
    """Have the guest's kernel in the cache of this machine: a machine of a test has no network."""
    boot = Path(BOOT_FILES)
    try:
        subprocess.run(
            [CHECKOUT / "os/tiny/prepare", "default"],
            env={
                "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
                "TINY_CACHE_DIR": KERNEL_CACHE,
                "TINY_BOOT_DIR": BOOT_FILES,
            },
            check=True,
            capture_output=True,
            timeout=900,
        )
    finally:
        shutil.rmtree(boot, ignore_errors=True)


class Cluster:
    """The cluster on `machine`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @classmethod
    def make(cls, machine: Machine, *arguments: str, tiny: bool = False) -> Cluster:
        """Initialise a cluster with these arguments of `gnt-cluster init`; `tiny` installs the OS definition."""
        machine.sh(_PREPARE)
        if tiny:
            machine.sh(_INSTALL_TINY)
        made = cls(machine)
        made.gnt("gnt-cluster", "init", *arguments, CLUSTER)
        return made

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run one of our programs; exit status and all it printed."""
        done = self.machine.run([f"{BIN}/{argv[0]}", *argv[1:]], env=env)
        return done.returncode, done.stdout

    def gnt(self, *argv: str) -> str:
        """What a command prints that must succeed."""
        status, said = self.run(*argv)
        assert status == 0, f"{' '.join(argv)} ended with {status}:\n{said}"
        return said

    def refused(self, *argv: str, status: int = 1) -> str:
        """What a command prints that must fail."""
        ended, said = self.run(*argv)
        assert ended == status, f"{' '.join(argv)} ended with {ended}:\n{said}"
        assert "Traceback" not in said
        assert "internal error" not in said
        return said

    def sh(self, script: str) -> str:
        """What a shell script prints on the machine, with our programs on its path."""
        return self.machine.sh(f"export PATH={BIN}:$PATH\n{script}")

    def json(self, *argv: str) -> Any:
        """What a list or info command answers with `--format=json`."""
        return msgspec.json.decode(self.gnt(*argv, "--format=json"))

    def field(self, name: str, field: str) -> str:
        """One field of one instance."""
        return self.gnt("gnt-instance", "list", "--no-headers", "-o", field, name).strip()

    def names(self) -> list[str]:
        """All instances."""
        return self.gnt("gnt-instance", "list", "--no-headers", "-o", "name").split()

    def job_status(self, job: int) -> str:
        """One word."""
        return self.gnt("gnt-job", "list", "--no-headers", "-o", "status", str(job)).strip()

    def submitted(self, *argv: str) -> int:
        """The number of the job that a command with --submit hands in."""
        words = self.gnt(*argv, "--submit").replace(":", " ").split()
        return next(int(word) for word in words if word.isdigit())

    def path(self, path: str) -> Path:
        """A file of the machine, as it is seen from out here."""
        return self.machine.path(path)

    def serial(self, name: str) -> str:
        """All that a guest has written on its serial console since QEMU started."""
        log = self.path(f"/var/log/ganeti/kvm/{name}.serial")
        return log.read_text(errors="replace").replace("\r", "") if log.exists() else ""

    def booted(self, name: str, *, times: int = 1) -> str:
        """Wait until the guest is up for the n-th time in its log; all it said."""

        def up() -> bool:
            return self.serial(name).count("tiny: heartbeat 1 ") >= times

        until(up, lambda: f"{name} is up {times} times; it said:\n{self.serial(name)}")
        return self.serial(name)

    def qemu_pids(self) -> list[int]:
        """The processes of all guests, oldest first, as numbered inside."""
        done = self.machine.run(["pgrep", "--full", "^/[^ ]*qemu-system-x86_64"])
        return [int(pid) for pid in done.stdout.split()]

    def pid(self, daemon: str) -> int:
        """The process of a daemon, as numbered inside."""
        return int(self.path(f"/run/ganeti/{daemon}.pid").read_text())

    def kill(self, *daemons: str) -> None:
        """End daemons without a warning, all at once, and wait until they are gone."""
        pids = [str(self.pid(daemon)) for daemon in daemons]
        # Until it is collected a dead process still holds its place in the list, but no lock and no socket.
        self.sh(
            f"kill -KILL {' '.join(pids)}\n"
            f"for pid in {' '.join(pids)}; do\n"
            "while [[ -e /proc/$pid && $(cut -d' ' -f3 /proc/$pid/stat) != Z ]]; do sleep 0.01; done; done"
        )

    def seen(self) -> str:
        """Everything on the machine and in the store that a request which was refused must not change."""
        store = self.gnt("gnt-instance", "list", "-o", INSTANCE_FIELDS) + self.gnt("gnt-instance", "info", "--all")
        store += self.gnt("gnt-cluster", "info")
        return store + self.gnt("gnt-debug", "locks") + self.machine.sh(_SEEN)

    def remove(self, *names: str) -> None:
        """Take instances away, whatever they are doing."""
        for name in names:
            self.gnt("gnt-instance", "remove", "--force", "--shutdown-timeout=0", name)


@contextmanager
def fake_cluster(scratch: Path) -> Iterator[Cluster]:
    """A cluster of guests that are files, with an OS definition that leaves the disks alone."""
    with Machine(scratch) as machine:
        made = Cluster.make(machine, "--enabled-hypervisors=fake", "--enabled-disk-templates=file,diskless")
        write_os(made, "quick", create="#!/bin/sh\nexit 0\n")
        yield made


@contextmanager
def kvm_cluster(scratch: Path, *, cgroups: bool = False) -> Iterator[Cluster]:
    """A cluster whose guests run in QEMU and boot the tiny OS."""
    fetch_kernel()
    with Machine(scratch, cgroups=cgroups) as machine:
        boot = f"kvm:kernel_path={KERNEL},initrd_path={INITRD},kernel_args={KERNEL_ARGS}"
        yield Cluster.make(machine, "-H", boot, tiny=True)


def write_os(cluster: Cluster, name: str, *, create: str, mode: int = 0o755) -> None:
    """An OS definition whose create script is this; the others do nothing."""
    home = cluster.path(f"/srv/ganeti/os/{name}")
    home.mkdir(parents=True)
    scripts = {"create": create} | dict.fromkeys(("import", "export", "rename", "verify"), "#!/bin/sh\nexit 0\n")
    for script, text in scripts.items():
        (home / script).write_text(text)
        (home / script).chmod(mode if script == "create" else 0o755)
    (home / "ganeti_api_version").write_text("20\n15\n10\n")
    (home / "variants.list").write_text("default\n")
    (home / "parameters.list").write_text("color What it is painted in\n")


def until(met: Callable[[], bool], what: str | Callable[[], str], *, limit_s: float = PATIENCE_S) -> None:
    """Wait for a condition; `what` says in the failure what did not come."""
    deadline = time.monotonic() + limit_s
    while not met():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.05)

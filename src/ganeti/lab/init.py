"""The first process of a host: build its view of the file system, start what a boot starts, collect orphans.

It ends when the host's power fails, never before; what it cannot do it says before the host is called ready.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

from ganeti.base.paths import Paths
from ganeti.lab import kernel
from ganeti.lab.disk import PATH, PROGRAMS, SSHD_PID_FILE, SSHD_SEARCH_PATH, hide, layers
from ganeti.lab.groups import Hierarchy
from ganeti.lab.plan import HostPlan, LabPlan

SSHD_WITHIN_S: Final = 10.0
DAEMONS_WITHIN_S: Final = 300.0
OVERLAY_WITHIN_S: Final = 10.0

_SHARED_STORAGE: Final = "srv/ganeti/shared-file-storage"


def run(
    plan: LabPlan,
    host: HostPlan,
    *,
    directory: Path,
    shared: Path,
    trees: list[Hierarchy],
    code: Iterable[str],
    ready: Callable[[], object],
    booted: Callable[[int | None, str], object],
) -> NoReturn:
    """Be the first process. `OSError` (or of a tool, `CalledProcessError`) as long as the host is not ready.

    `directory`: of this host, with `disk` mounted. `code`: directories that this program itself is read from.
    `booted` gets the exit status of what was started at boot, None when there was nothing, and what it said.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the first process of a host is deaf to what it does not handle
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    root = directory / "root"
    _build(root, directory, trees, code, kvm=plan.kvm)
    kernel.mount(str(directory / "srv"), str(root / "srv/ganeti"), flags=kernel.BIND)
    if plan.shared_storage:
        (root / _SHARED_STORAGE).mkdir(exist_ok=True)
        kernel.mount(str(shared), str(root / _SHARED_STORAGE), flags=kernel.BIND)
    _enter(root)
    socket.sethostname(host.fqdn)
    os.environ.clear()
    os.environ.update(PATH=PATH, HOME="/root", LANG="C.UTF-8", USER="root", LOGNAME="root", SHELL="/bin/bash")
    _start_sshd()
    ready()
    booted(*_start_daemons())
    _collect_orphans()


def _build(root: Path, directory: Path, trees: list[Hierarchy], code: Iterable[str], *, kvm: bool) -> None:
    for mounted, layer in layers(directory / "disk").items():
        _overlay(mounted, root / mounted[1:], layer, essential=mounted == "/")
    kernel.mount("proc", str(root / "proc"), "proc", flags=kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXECUTION)
    if (root / "proc/sysrq-trigger").exists():
        # It would reset the machine itself.
        kernel.mount("/dev/null", str(root / "proc/sysrq-trigger"), flags=kernel.BIND)
    kernel.mount("sysfs", str(root / "sys"), "sysfs", flags=kernel.NO_SUID | kernel.NO_DEVICES | kernel.NO_EXECUTION)
    _control_groups(root, trees)
    _devices(root / "dev", kvm=kvm)
    kernel.mount("run", str(root / "run"), "tmpfs", options="mode=755")
    kernel.mount("tmp", str(root / "tmp"), "tmpfs", options="mode=1777")
    for place in ("run/lock", "run/sshd"):
        (root / place).mkdir()
    for path in map(Path, code):
        if not (root / path.relative_to("/")).exists():
            (root / path.relative_to("/")).mkdir(parents=True)
            _bind_read_only(path, root / path.relative_to("/"))


def _overlay(lower: str, target: Path, layer: Path, *, essential: bool) -> None:
    options = f"lowerdir={lower},upperdir={layer}/upper,workdir={layer}/work"
    deadline_s = time.monotonic() + OVERLAY_WITHIN_S
    while True:
        try:
            kernel.mount("overlay", str(target), "overlay", options=options)
            return
        except OSError as error:
            if error.errno == errno.EBUSY and time.monotonic() < deadline_s:
                time.sleep(0.01)  # after a power failure the kernel needs a moment until it has let go of the disk
            elif essential:
                raise OSError(
                    error.errno,
                    f"{error.strerror}; a lab needs a kernel with overlayfs ('modprobe overlay') "
                    "and a root directory that can be the lower layer of one",
                ) from error
            else:
                _bind_read_only(Path(lower), target)  # a kind of file system that no overlay can stand on
                return


def _bind_read_only(source: Path, target: Path) -> None:
    kernel.mount(str(source), str(target), flags=kernel.BIND)
    kernel.mount("none", str(target), flags=kernel.BIND | kernel.REMOUNT | kernel.READ_ONLY)


def _control_groups(root: Path, trees: list[Hierarchy]) -> None:
    """The namespace of groups begins at the host's own: that is what each of these mounts shows."""
    top = root / "sys/fs/cgroup"
    if any(tree.mount != "/sys/fs/cgroup" for tree in trees):
        kernel.mount("groups", str(top), "tmpfs", options="mode=755")
    for tree in trees:
        target = root / tree.mount[1:]
        target.mkdir(exist_ok=True)
        kernel.mount("cgroup", str(target), "cgroup2" if tree.unified else "cgroup", options=tree.options)


def _devices(target: Path, *, kvm: bool) -> None:
    """The machine's devices; terminals, shared memory and message queues are the host's own."""
    if kvm or not os.path.exists("/dev/kvm"):
        kernel.mount("/dev", str(target), flags=kernel.BIND)
    else:
        _devices_without(target, "kvm")
    kernel.mount("devpts", str(target / "pts"), "devpts", options="newinstance,ptmxmode=0666,mode=620")
    # What /dev/ptmx makes belongs to the terminals beside it only where the machine has it as a link.
    if not (target / "ptmx").is_symlink():
        kernel.mount(str(target / "pts/ptmx"), str(target / "ptmx"), flags=kernel.BIND)
    if (target / "shm").is_dir():
        kernel.mount("shm", str(target / "shm"), "tmpfs", options="mode=1777")
    if (target / "mqueue").is_dir():
        kernel.mount("mqueue", str(target / "mqueue"), "mqueue")


def _devices_without(target: Path, name: str) -> None:
    """All but one. Programs take a device that is there for one that works, so it must not be there."""
    kernel.mount("devices", str(target), "tmpfs", options="mode=755")
    for place in ("upper", "work"):
        (target / place).mkdir()
    hide(target / "upper" / name)
    options = f"lowerdir=/dev,upperdir={target}/upper,workdir={target}/work"
    kernel.mount("devices", str(target), "overlay", options=options)


def _enter(root: Path) -> None:
    """Make it the root directory and forget the one of the machine."""
    old = root / "run/old"
    old.mkdir()
    os.chdir(root)
    kernel.change_root(".", "run/old")
    os.chdir("/")
    kernel.unmount_lazily("/run/old")
    os.rmdir("/run/old")


def _start_sshd() -> None:
    """In the background; returns when it listens. Without the package the host has no ssh, and the lab says so."""
    program = shutil.which("sshd", path=SSHD_SEARCH_PATH)
    if program is None or not os.path.exists("/etc/ssh/sshd_config"):
        return
    done = subprocess.run([program], text=True, capture_output=True, timeout=SSHD_WITHIN_S)
    deadline_s = time.monotonic() + SSHD_WITHIN_S
    while done.returncode == 0 and not os.path.exists(SSHD_PID_FILE):
        if time.monotonic() > deadline_s:
            raise OSError(errno.ETIMEDOUT, f"sshd does not listen after {SSHD_WITHIN_S:g} s")
        time.sleep(0.002)
    if done.returncode != 0:
        raise OSError(errno.EIO, f"sshd does not start: {done.stderr.strip()}")


def _start_daemons() -> tuple[int | None, str]:
    """What an init script does on a node of a cluster: its exit status and words, None where there is no cluster."""
    if not os.path.exists(Paths().node_settings):
        return None, ""
    try:
        # Daemons must not keep a pipe to us open: their words go to a file.
        with open("/run/ganeti-daemons.out", "w+b") as said:
            done = subprocess.run(
                [f"{PROGRAMS}/ganeti-daemons", "start"],
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=DAEMONS_WITHIN_S,
            )
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    print(text, flush=True)
    return done.returncode, text


def _collect_orphans() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass  # none is left at the moment
        signal.sigwait({signal.SIGCHLD})

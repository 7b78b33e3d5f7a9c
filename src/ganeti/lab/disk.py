"""The disk of a new host: a layer over this machine's files that hides what is the machine's own and adds the host's."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from pathlib import Path
from typing import Final

from ganeti.lab.plan import HostPlan, LabPlan, hosts_file

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a host looks for programs; our own are in the first of these."""

PROGRAMS: Final = "/usr/local/sbin"
SSHD_PID_FILE: Final = "/run/sshd.pid"
SSHD_SEARCH_PATH: Final = "/usr/sbin:/usr/local/sbin:/sbin"

_OWN: Final = {
    "/etc/ganeti": 0o755,
    "/etc/ssh": 0o755,
    "/root/.ssh": 0o700,
    "/srv/ganeti": 0o755,
    "/var/lib/ganeti": 0o750,
    "/var/log/ganeti": 0o750,
    "/var/tmp": 0o1777,
}
"""Directories that are the host's alone and begin empty, with their modes."""

_HIDDEN: Final = (
    "/etc/nologin",
    "/etc/default/ganeti",
    "/etc/default/ganeti-os-tiny",
    "/var/lib/ganeti-demo",
    "/var/lib/ganeti-os-tiny",
)
"""What this machine may have of a cluster of its own, and what would keep root from logging in."""

_OURS: Final = ("gnt-*", "ganeti-*")

_SSHD_CONFIG: Final = f"""\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile {SSHD_PID_FILE}
MaxStartups 100
MaxSessions 100
AcceptEnv LANG LC_*
SetEnv PATH={PATH}
Subsystem sftp internal-sftp
"""


class Layers:
    """What a host has on its own disk, over what this machine has, before both are mounted as one."""

    def __init__(self, disk: Path) -> None:
        self._layers = layers(disk)
        for layer in self._layers.values():
            for place in ("upper", "work"):
                (layer / place).mkdir(parents=True, exist_ok=True)

    def own(self, path: str, mode: int) -> None:
        """An empty directory that shows nothing of the machine's."""
        place = self._place(path)
        place.mkdir(exist_ok=True)
        place.chmod(mode)
        os.setxattr(place, "trusted.overlay.opaque", b"y")

    def hide(self, path: str) -> None:
        """The machine's file or directory is not there; fine when it has none."""
        if os.path.lexists(path):
            hide(self._place(path))

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """A file of the host's own."""
        place = self._place(path)
        place.write_text(text)
        place.chmod(mode)

    def copy(self, source: Path, path: str, *, mode: int) -> None:
        """A file of the host's own, with the content of another."""
        self.write(path, source.read_text(), mode=mode)

    def link(self, target: Path, path: str) -> None:
        """A symbolic link of the host's own."""
        self._place(path).symlink_to(target)

    def _place(self, path: str) -> Path:
        """Where the path is in its layer. Directories above it are made as the machine has them."""
        parent = os.path.realpath(os.path.dirname(path))
        mounted = max((each for each in self._layers if _is_below(parent, each)), key=len)
        top = self._layers[mounted] / "upper"
        place = top
        for part in Path(parent).relative_to(mounted).parts:
            place /= part
            if not place.exists():
                place.mkdir()
                theirs = Path(mounted, place.relative_to(top))
                if theirs.exists():
                    shutil.copystat(theirs, place)
                    os.chown(place, theirs.stat().st_uid, theirs.stat().st_gid)
        return place / os.path.basename(path)


def hide(place: Path) -> None:
    """In the upper layer of an overlay: what the lower one has by this name is not there."""
    os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))


def layers(disk: Path) -> dict[str, Path]:
    """The directories of this machine that are on real file systems, and the layer of a host's disk over each.

    Those above come before those below. A layer is a directory with `upper` and `work`, as overlayfs wants it.
    """
    real = {line.strip() for line in Path("/proc/filesystems").read_text().splitlines() if not line.startswith("nodev")}
    mounts = [line.split(" ")[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = {path for path, kind in mounts if kind in real and path != "/" and os.path.isdir(path)}
    return {"/": disk / "system"} | {path: disk / path[1:].replace("/", "-") for path in sorted(found)}


def _is_below(path: str, top: str) -> bool:
    return top == "/" or path == top or path.startswith(f"{top}/")


def fill(disk: Path, plan: LabPlan, host: HostPlan, *, keys: Path | None, programs: Path) -> None:
    """Write everything a host has on its disk when it is switched on for the first time.

    `keys`: where `lab` and a key with the name of each host are, or None without ssh. `programs`: where the commands
    of this installation are.
    """
    layer = Layers(disk)
    for path, mode in _OWN.items():
        layer.own(path, mode)
    for path in _HIDDEN:
        layer.hide(path)
    for directory in ("/usr/local/bin", PROGRAMS):
        for pattern in _OURS:
            for old in Path(directory).glob(pattern):
                if directory != PROGRAMS or not (programs / old.name).exists():
                    layer.hide(str(old))
    for pattern in _OURS:
        for program in programs.glob(pattern):
            if program.name != "ganeti-lab":  # a lab in a lab would be somebody's mistake
                layer.link(program, f"{PROGRAMS}/{program.name}")
    layer.write("/etc/hostname", host.fqdn + "\n")
    layer.write("/etc/hosts", hosts_file(plan))
    layer.write("/etc/resolv.conf", f"# There is no name server here: names are in /etc/hosts.\nsearch {plan.domain}\n")
    layer.write("/etc/machine-id", uuid.uuid5(uuid.NAMESPACE_DNS, host.fqdn).hex + "\n", mode=0o444)
    _unlock_root(layer)
    if keys is not None:
        _ssh(layer, plan, host, keys)


def _ssh(layer: Layers, plan: LabPlan, host: HostPlan, keys: Path) -> None:
    layer.copy(keys / host.name, "/etc/ssh/ssh_host_ed25519_key", mode=0o600)
    layer.copy(keys / f"{host.name}.pub", "/etc/ssh/ssh_host_ed25519_key.pub", mode=0o644)
    layer.write("/etc/ssh/sshd_config", _SSHD_CONFIG)
    layer.write("/etc/ssh/ssh_config", "# Host keys of the lab are in /etc/ssh/ssh_known_hosts.\n")
    known = [
        f"{other.name},{other.fqdn},{','.join(cable.address.partition('/')[0] for cable in other.cables)} "
        + " ".join((keys / f"{other.name}.pub").read_text().split()[:2])
        for other in plan.hosts
    ]
    layer.write("/etc/ssh/ssh_known_hosts", "\n".join(known) + "\n")
    layer.copy(keys / "lab", "/root/.ssh/id_ed25519", mode=0o600)
    layer.copy(keys / "lab.pub", "/root/.ssh/id_ed25519.pub", mode=0o644)
    layer.copy(keys / "lab.pub", "/root/.ssh/authorized_keys", mode=0o600)


def _unlock_root(layer: Layers) -> None:
    """Some systems lock the account of root; sshd then refuses its keys too."""
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except FileNotFoundError:
        return
    if any(line.startswith("root:!") for line in lines):
        changed = [
            ":".join(["root", "*", *line.split(":")[2:]]) if line.startswith("root:!") else line for line in lines
        ]
        layer.write("/etc/shadow", "\n".join(changed) + "\n", mode=0o600)

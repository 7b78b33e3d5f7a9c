"""Control groups of a lab: one for the lab, one below it for each host, in every hierarchy of this machine.

A host sees its own group as the root of each hierarchy. All processes of a lab are in its group, whoever started
them: what a crash of the tool leaves behind is found there.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

_TOP: Final = "ganeti-lab"
_LEAF: Final = "init"
"""Version 2 gives controllers to a group's children only while it has no processes itself, as on a real host, where
the service manager keeps itself in a group of its own."""
_CONTROLLERS: Final = frozenset({"cpu", "io", "memory", "pids"})
_PATIENCE_S: Final = 10.0
_MOUNT_WORDS: Final = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children"})


class Hierarchy(NamedTuple):
    """A mounted tree of control groups; `options` is what another mount of the same tree must say."""

    mount: str
    unified: bool
    options: str

    def group(self, *names: str) -> Path:
        """The directory of a group of the lab."""
        return Path(self.mount, _TOP, *names)

    def entrance(self, *names: str) -> Path:
        """Where a process writes itself to be in the group of a host or lab."""
        leaf = (_LEAF,) if self.unified else ()
        return self.group(*names, *leaf) / "cgroup.procs"


def hierarchies(mounts: str) -> list[Hierarchy]:
    """Those of version 1 and 2 in the text of /proc/self/mountinfo; each once."""
    found: dict[str, Hierarchy] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        path = before.split(" ")[4]
        words = [word for word in options.split(",") if word not in _MOUNT_WORDS and not word.startswith("release_")]
        if kind == "cgroup2":
            found.setdefault("2", Hierarchy(path, True, ""))
        else:
            named = all(word.startswith("name=") for word in words)
            text = ",".join(["none", *words] if named else words)
            found.setdefault(text, Hierarchy(path, False, text))
    return list(found.values())


def here() -> list[Hierarchy]:
    """Those of this machine."""
    return hierarchies(Path("/proc/self/mountinfo").read_text())


def usable(lab: str) -> tuple[list[Hierarchy], list[str]]:
    """Make the group of the lab in each hierarchy; those where it worked, and sentences on the others."""
    fine, problems = [], []
    for tree in here():
        try:
            _make(tree, lab)
            fine.append(tree)
        except OSError as error:
            problems.append(f"no control groups of its own below {tree.mount}: {error.strerror}")
    return fine, problems


def make_for_host(trees: list[Hierarchy], lab: str, host: str) -> None:
    """A fresh, empty group: what an earlier life of the host had in it is gone, as after a power failure."""
    for tree in trees:
        remove(tree.group(lab, host))
        _make(tree, lab, host)


def join_top(trees: list[Hierarchy], *names: str) -> None:
    """Put this process into the group itself, in every hierarchy: where its namespace of groups is to begin."""
    for tree in trees:
        (tree.group(*names) / "cgroup.procs").write_text("0")


def join(trees: list[Hierarchy], *names: str) -> None:
    """Put this process where processes of the group live, in every hierarchy."""
    for tree in trees:
        entrance = tree.entrance(*names)
        entrance.parent.mkdir(exist_ok=True)
        entrance.write_text("0")


def pids(lab: str) -> set[int]:
    """Every process in a group of the lab, in the numbering of this machine."""
    found: set[int] = set()
    for tree in here():
        for directory, _, _ in os.walk(tree.group(lab)):
            try:
                found.update(int(line) for line in Path(directory, "cgroup.procs").read_text().split())
            except FileNotFoundError:
                continue  # the group ended while we looked
    found.discard(0)  # somebody whom this process cannot see
    return found


def remove_lab(lab: str) -> None:
    """Remove every group of the lab, and the one above when it was the last lab. Fine when there are none."""
    for tree in here():
        remove(tree.group(lab))
        try:
            tree.group().rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise  # busy: another lab is in it


def remove(group: Path) -> None:
    """Remove a group and all below it. A process that just ended keeps its group busy for a moment."""
    deadline_s = time.monotonic() + _PATIENCE_S
    for directory, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.005)
            else:
                break


def _make(tree: Hierarchy, *names: str) -> None:
    for count in range(len(names) + 1):
        group = tree.group(*names[:count])
        group.mkdir(exist_ok=True)
        if tree.unified:
            _hand_down(group.parent)
        elif "cpuset" in tree.options.split(","):
            for knob in ("cpuset.cpus", "cpuset.mems"):
                (group / knob).write_text((group.parent / knob).read_text())


def _hand_down(group: Path) -> None:
    """Let the children of the group have the usual controllers, where the group has them itself."""
    there = set((group / "cgroup.controllers").read_text().split())
    handed = set((group / "cgroup.subtree_control").read_text().split())
    for controller in sorted(_CONTROLLERS & there - handed):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")

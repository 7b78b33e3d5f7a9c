"""Loop devices belong to the whole machine: those over files of a host are found while it lives, and freed after."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_WITHIN_S: Final = 30.0


class Loop(NamedTuple):
    """A loop device and the file behind it, by the device number of its file system and its inode."""

    device: str
    major: int
    minor: int
    inode: int


def in_use() -> list[Loop]:
    """Those of this machine; none on a machine without the command."""
    try:
        done = subprocess.run(
            ["losetup", "--json", "--output", "NAME,BACK-INO,BACK-MAJ:MIN"],
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
        )
    except FileNotFoundError:
        return []
    return decode(done.stdout) if done.returncode == 0 else []


def decode(text: str) -> list[Loop]:
    """From the JSON of `losetup`, which is empty when there are no devices. A device being freed has no file."""
    entries = json.loads(text)["loopdevices"] if text.strip() else []
    found = []
    for entry in entries:
        number, inode = entry.get("back-maj:min"), entry.get("back-ino")
        if number and inode:
            major, _, minor = number.strip().partition(":")
            found.append(Loop(entry["name"], int(major), int(minor), int(inode)))
    return found


def over(loops: Iterable[Loop], *, memory: set[tuple[int, int]], directories: Iterable[Path]) -> list[Loop]:
    """Those over any file of the file systems `memory` (major, minor), or over a file below the directories."""
    loops = list(loops)
    if not loops:
        return []
    files: set[tuple[int, int, int]] = set()
    for directory in directories:
        for top, _, names in os.walk(directory):
            for name in names:
                at = os.lstat(os.path.join(top, name))
                files.add((os.major(at.st_dev), os.minor(at.st_dev), at.st_ino))
    return [loop for loop in loops if (loop.major, loop.minor) in memory or loop[1:] in files]


def memory_file_systems(mounts: str) -> set[tuple[int, int]]:
    """The device numbers of each tmpfs in the text of a /proc/PID/mountinfo."""
    found = set()
    for line in mounts.splitlines():
        words, kind = line.split(" "), line.partition(" - ")[2].partition(" ")[0]
        if kind == "tmpfs":
            major, _, minor = words[2].partition(":")
            found.add((int(major), int(minor)))
    return found


def free(loops: Iterable[Loop]) -> None:
    """Detach them; one that is still mounted somewhere goes with its last user."""
    for loop in loops:
        subprocess.run(["losetup", "--detach", loop.device], capture_output=True, timeout=_WITHIN_S)

"""Which directories of a node may hold disks in files (spec: interfaces, section 3).

The operator lists them in /etc/ganeti/file-storage-paths: a master that was taken over cannot make a node write
anywhere else. System directories are never allowed, whatever the list says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.model.params import is_normal_absolute

LIST_NAME: Final = "file-storage-paths"

SYSTEM_DIRS: Final = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/usr",
)


def is_within(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it; both normal and absolute. `/srv/ab` is not within `/srv/a`."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def is_system(path: str) -> bool:
    """Whether a directory belongs to the operating system: no disk lives there."""
    return path == "/" or any(is_within(path, system) for system in SYSTEM_DIRS)


def objections(files: Files, directory: str, allowed: Sequence[str]) -> list[str]:
    """What stands against disks below `directory`, as sentences. Links are resolved on both sides."""
    if not is_normal_absolute(directory):
        return [f"'{directory}' is not an absolute path without '..' or double slashes"]
    real = files.real_path(directory)
    really = f"{directory} (really {real})" if real != directory else directory
    if is_system(real) or is_system(directory):
        return [f"{really} belongs to the operating system; choose a directory such as /srv/ganeti/file-storage"]
    permitted = [path for path in allowed if is_normal_absolute(path) and not is_system(files.real_path(path))]
    if not any(is_within(real, files.real_path(path)) for path in permitted):
        there = f"allowed are {', '.join(permitted)}" if permitted else "none is allowed so far"
        return [
            f"{really} is not in a directory that may hold disks on this node ({there}); "
            f"add its directory to /etc/ganeti/{LIST_NAME} there"
        ]
    kind = files.kind(real)
    return [] if kind in {None, "directory"} else [f"{really} is not a directory"]


def check(files: Files, path: str, allowed: Sequence[str]) -> None:
    """Raise `Failed` unless `path` may be a disk: strictly below an allowed directory, and no link itself."""
    if not is_normal_absolute(path):
        raise Failed(f"'{path}' is not an absolute path without '..' or double slashes", path=path)
    found = objections(files, os.path.dirname(path), allowed)
    if found:
        raise Failed(found[0], path=path)
    kind = files.kind(path)
    if kind not in {None, "file"}:
        raise Failed(f"{path} is no regular file but a {'link' if kind == 'link' else kind}", path=path)

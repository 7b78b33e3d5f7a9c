"""System calls that Python 3.11 does not offer: namespaces, mounts, the change of the root directory."""

from __future__ import annotations

import ctypes
import os
from typing import Final

NEW_MOUNTS: Final = 0x00020000
NEW_CONTROL_GROUPS: Final = 0x02000000
NEW_NAMES: Final = 0x04000000
NEW_IPC: Final = 0x08000000
NEW_PROCESSES: Final = 0x20000000
NEW_NETWORK: Final = 0x40000000

READ_ONLY: Final = 1
NO_SUID: Final = 2
NO_DEVICES: Final = 4
NO_EXECUTION: Final = 8
REMOUNT: Final = 32
BIND: Final = 4096
RECURSIVE: Final = 16384
PRIVATE: Final = 1 << 18

_DETACH: Final = 2

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(namespaces: int) -> None:
    """Give this process new namespaces; a new one of processes holds for its children only."""
    _checked(_libc.unshare(ctypes.c_int(namespaces)), "make namespaces")


def enter(handle: int, namespace: int) -> None:
    """Join the namespace behind an open file of /proc/PID/ns; one of processes holds for children only."""
    _checked(_libc.setns(ctypes.c_int(handle), ctypes.c_int(namespace)), "enter a namespace")


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, options: str = "") -> None:
    """See mount(2)."""
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(done, f"mount {kind or source} at {target}")


def unmount_lazily(target: str) -> None:
    """Take a mount and all below it out of sight; it is gone when nobody uses it any more."""
    _checked(_libc.umount2(target.encode(), ctypes.c_int(_DETACH)), f"unmount {target}")


def change_root(new: str, old: str) -> None:
    """Make the mount `new` the root directory of this mount namespace; the former one appears at `old`, below it."""
    _checked(_libc.pivot_root(new.encode(), old.encode()), f"make {new} the root directory")


def _checked(result: int, deed: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {deed}: {os.strerror(number)}")

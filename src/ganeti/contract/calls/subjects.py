"""What a call is about: which guest, which disks. Two calls about the same thing must not be done in another order."""

from __future__ import annotations

from typing import Any

from ganeti.contract.calls import Call
from ganeti.contract.guest import Guest
from ganeti.model.objects import Disk


def keys_of(call: Call[Any]) -> set[str]:
    """What a call touches: its guest with the disks of it, its disks."""
    keys: set[str] = set()
    for field in call.__struct_fields__:
        value = getattr(call, field)
        if isinstance(value, Guest):
            keys.add(f"guest/{value.name}")
            keys.update(f"disk/{disk.uuid}" for disk in value.disks)
        elif isinstance(value, Disk):
            keys.add(f"disk/{value.uuid}")
    return keys

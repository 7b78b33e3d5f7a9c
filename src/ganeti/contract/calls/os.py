"""Calls about OS definitions and their scripts."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ganeti.contract.calls import Call
from ganeti.contract.guest import Guest
from ganeti.contract.os import OsFound

INSTALL_WITHIN_S: Final = 3600
"""How long a create script may take where nobody says otherwise."""


class OsList(msgspec.Struct, frozen=True, kw_only=True):
    """The OS definitions of a node."""

    found: tuple[OsFound, ...] = ()


class OsListGet(Call[OsList], frozen=True, kw_only=True, tag="os.list"):
    """Which OS definitions are there?"""

    only_reads: ClassVar[bool] = True


class OsValidate(Call[None], frozen=True, kw_only=True, tag="os.validate"):
    """Check name, variant and parameters; refused with the cause."""

    timeout_s: ClassVar[float] = 300.0
    only_reads: ClassVar[bool] = True
    os_name: str
    params: dict[str, str] = {}
    force_variant: bool = False


class OsInstall(Call[None], frozen=True, kw_only=True, tag="os.install"):
    """Run the create script on the guest's disks, assembling them for it. Fails after `within_s`."""

    breakable: ClassVar[bool] = True

    guest: Guest
    params: dict[str, str] = {}
    reinstall: bool = False
    debug_level: int = 0
    within_s: float = INSTALL_WITHIN_S

    @property
    def limit_s(self) -> float:
        """The script's time, and some to assemble disks."""
        return self.within_s + 300.0


class OsRename(Call[None], frozen=True, kw_only=True, tag="os.rename"):
    """Run the rename script: the guest has its new name, `old_name` is what it was."""

    guest: Guest
    old_name: str
    params: dict[str, str] = {}
    within_s: float = 600.0

    @property
    def limit_s(self) -> float:
        """The script's time, and some to assemble disks."""
        return self.within_s + 300.0

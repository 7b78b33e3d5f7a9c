"""The port of OS definitions (spec: interfaces, section 1): what is installed on a node, and running its scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from ganeti.contract.guest import AttachedDisk, Guest

Script = Literal["create", "create_untrusted", "import", "export", "rename", "verify"]


class OsFound(msgspec.Struct, frozen=True, kw_only=True):
    """An OS definition on a node. `problems` is empty for a valid one; parameters map name to description."""

    name: str
    path: str
    problems: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    api_versions: tuple[int, ...] = ()
    parameters: dict[str, str] = {}
    trusted: bool = True

    @property
    def valid(self) -> bool:
        """Whether it can be used."""
        return not self.problems


class OsDefinitions(Protocol):
    """The OS definitions of this host."""

    async def list(self) -> Sequence[OsFound]:
        """All in the search path, sorted by name, the broken ones too."""
        ...

    async def validate(
        self, os_name: str, params: Mapping[str, str], *, force_variant: bool = False, required: bool = True
    ) -> None:
        """Check name, variant and parameters (its `verify` script too). `Refused` with the cause and what there is."""
        ...

    async def run(
        self,
        script: Script,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        params: Mapping[str, str],
        extra_env: Mapping[str, str] | None = None,
        timeout_s: float = 3600.0,
    ) -> None:
        """Run a script for a guest. `Failed` with the last lines it wrote, or that it hung; its log is kept on the node."""
        ...

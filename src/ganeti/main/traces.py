"""What a cluster leaves on its host besides its data, written down before it is made, and taken away in reverse.

`gnt-cluster init` records each deed in `init.json` before it does it. When init fails, is interrupted or is killed,
and when the cluster is destroyed, the same list is played backwards; undoing what was never done is harmless.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from typing import Final

import msgspec

from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner
from ganeti.main.checks import RECORD


class Trace(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that was made on the host. A `kept` one outlives the cluster, but not an init that failed."""

    kept: bool = False


class Directory(Trace, frozen=True, kw_only=True, tag="directory"):
    """A directory that was not there before; with `whole` it goes with all that is in it, else only when empty."""

    path: str
    whole: bool = False


class File(Trace, frozen=True, kw_only=True, tag="file"):
    """A file that was not there before."""

    path: str


class Line(Trace, frozen=True, kw_only=True, tag="line"):
    """A line added to the end of a file of the system."""

    path: str
    text: str
    mode: int = 0o644


class HostAddress(Trace, frozen=True, kw_only=True, tag="address"):
    """An address added to a network device: that of the cluster, on its master."""

    address: str
    prefix: int
    device: str


AnyTrace = Directory | File | Line | HostAddress


class Traces:
    """The record of one host, and the deeds that go into it."""

    def __init__(self, *, files: Files, runner: Runner, paths: Paths) -> None:
        self._files, self._runner, self._paths = files, runner, paths
        self.path: Final = f"{paths.data}/{RECORD}"
        self._recorded: list[AnyTrace] = []
        self._on_disk = False

    def load(self) -> bool:
        """Read what an earlier run recorded; False when there is no record. `Failed` when it cannot be read."""
        try:
            data = self._files.read(self.path)
        except FileNotFoundError:
            return False
        try:
            self._recorded = msgspec.json.decode(data, type=list[AnyTrace])
        except msgspec.MsgspecError as error:
            raise Failed(f"{self.path} cannot be read: {error}; it says what there is to remove") from error
        self._on_disk = True
        return True

    @property
    def recorded(self) -> Sequence[AnyTrace]:
        """Everything recorded, oldest first."""
        return tuple(self._recorded)

    def make_directory(self, path: str, mode: int, *, whole: bool = False, kept: bool = False) -> None:
        """Make a directory, and its parents open to all; those that were there are left as they are."""
        missing = []
        while path and self._files.kind(path) is None and not self._files.exists(path):
            missing.append(path)
            path = path.rpartition("/")[0]
        for each in reversed(missing):
            last = each == missing[0]
            self._record(Directory(path=each, whole=whole and last, kept=kept))
            self._files.make_dirs(each, mode=mode if last else 0o755)

    def record_on_disk(self) -> None:
        """From now on every deed is on disk before it is done; what was done until now too."""
        self._on_disk = True
        self._save()

    def write_file(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Make a file."""
        self._record(File(path=path))
        self._files.write(path, data, mode=mode)

    def expect_file(self, path: str, *, kept: bool = False) -> None:
        """Somebody else is about to make this file."""
        self._record(File(path=path, kept=kept))

    def add_line(self, path: str, text: str, *, mode: int = 0o644, kept: bool = False) -> None:
        """Add a line to the end of a file, which is made if need be."""
        try:
            content = self._files.read(path)
        except FileNotFoundError:
            self._record(File(path=path, kept=kept))
            content = b""
        self._record(Line(path=path, text=text, mode=mode, kept=kept))
        begin = "" if not content or content.endswith(b"\n") else "\n"
        self._files.append(path, f"{begin}{text}\n".encode(), mode=mode)

    def expect_address(self, address: str, prefix: int, device: str) -> None:
        """The device shall have that address from the next `ensure_addresses` on, and no other of the cluster."""
        self._recorded = [trace for trace in self._recorded if not isinstance(trace, HostAddress)]
        self._record(HostAddress(address=address, prefix=prefix, device=device))

    async def add_address(self, address: str, prefix: int, device: str) -> None:
        """Give the device an address."""
        self._record(HostAddress(address=address, prefix=prefix, device=device))
        await self.ensure_addresses()

    async def drop_addresses(self) -> None:
        """Take the addresses of the cluster off their devices: this host is its master no more."""
        for trace in [trace for trace in self._recorded if isinstance(trace, HostAddress)]:
            await self._undo(trace)
            self._recorded.remove(trace)
        self._save()

    async def ensure_addresses(self) -> list[str]:
        """Give the devices the addresses they lost (at a reboot, say); returns those that were missing."""
        added = []
        for trace in self._recorded:
            if isinstance(trace, HostAddress) and not await self._has(trace):
                argv = ["ip", "address", "add", f"{trace.address}/{trace.prefix}", "dev", trace.device]
                (await self._runner.run(argv, timeout_s=30)).expect_success(
                    f"give {trace.device} the address of the cluster"
                )
                added.append(f"{trace.address} on {trace.device}")
        return added

    async def undo(self, *, destroyed: bool) -> list[str]:
        """Take everything away, newest first, and return what stayed on purpose.

        With `destroyed` (the cluster has lived) kept traces stay. `Failed` names what could not be removed after all
        the rest is gone; the record then still holds it.
        """
        stayed: list[str] = []
        problems: list[str] = []
        held: list[AnyTrace] = []
        for trace in reversed(self._recorded):
            if trace.kept and destroyed:
                if isinstance(trace, (File, Directory)) and self._files.kind(trace.path) is not None:
                    stayed.append(trace.path)
                continue
            try:
                await self._undo(trace)
            except (OSError, Failed) as error:
                problems.append(str(error))
                held.append(trace)
        if problems:
            self._recorded = list(reversed(held))
            if self._files.exists(self._paths.data):
                self._save()
            raise Failed(f"not everything could be removed: {'; '.join(problems)}", problems=problems)
        self._recorded = []
        return [path for path in stayed if not any(other.startswith(f"{path}/") for other in stayed)]

    async def _undo(self, trace: AnyTrace) -> None:
        match trace:
            case Directory(path=path, whole=True):
                remove_tree(self._files, path)
            case Directory(path=path):
                try:
                    self._files.remove_dir(path)
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
                    # somebody put something of theirs there: then it is theirs
            case File(path=path):
                self._files.remove(path)
            case Line(path=path, text=text, mode=mode):
                self._remove_line(path, text, mode)
            case HostAddress(address=address, prefix=prefix, device=device):
                if await self._has(trace):
                    argv = ["ip", "address", "del", f"{address}/{prefix}", "dev", device]
                    (await self._runner.run(argv, timeout_s=30)).expect_success(f"take {address} off {device}")

    def _remove_line(self, path: str, text: str, mode: int) -> None:
        try:
            lines = self._files.read(path).decode(errors="surrogateescape").splitlines(keepends=True)
        except FileNotFoundError:
            return
        rest = [line for line in lines if line.rstrip("\n") != text]
        if len(rest) != len(lines):
            self._files.write(path, "".join(rest).encode(errors="surrogateescape"), mode=mode)

    async def _has(self, trace: HostAddress) -> bool:
        done = await self._runner.run(["ip", "-json", "address", "show", "dev", trace.device], timeout_s=30)
        if done.status != 0:
            return False  # no such device (any more): then it has no address either
        return any(
            entry.get("local") == trace.address
            for link in json.loads(done.stdout or "[]")
            for entry in link.get("addr_info", [])
        )

    def _record(self, trace: AnyTrace) -> None:
        self._recorded.append(trace)
        if self._on_disk:
            self._save()

    def _save(self) -> None:
        self._files.write(self.path, msgspec.json.encode(self._recorded))


def remove_tree(files: Files, path: str) -> None:
    """Remove a directory with all that is in it; links are removed, never followed. Fine when it is not there."""
    if files.kind(path) is None:
        return
    if files.kind(path) != "directory":
        files.remove(path)
        return
    for name in files.list_dir(path):
        remove_tree(files, f"{path}/{name}")
    files.remove_dir(path)

"""Find out what this host is, before it becomes a cluster: names, addresses, bridges, volume groups, leftovers.

All looking is here and changes nothing; what follows from the facts is decided by `ganeti.main.checks` and
`ganeti.main.blueprint`, which are pure.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Literal, Protocol

import msgspec

from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner

NODED_PORT = 1811
HOST_NAME_VARIABLE = "GANETI_HOSTNAME"

Family = Literal[4, 6]


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. Addresses are in their shortest form; sizes are MiB."""

    uid: int
    host_name: str
    host_addresses: tuple[str, ...] = ()
    """What the host name resolves to, in the resolver's order."""
    cluster_addresses: tuple[str, ...] = ()
    """What the name of the cluster resolves to."""
    answers: str | None = None
    """How the cluster's address answers already: `TCP port 1811`, `ping`; None when it is silent."""
    local: dict[str, str] = {}
    """Every address of this host and the device that carries it."""
    devices: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    dom0: bool = False
    volume_groups: dict[str, float] = {}
    boot_files: tuple[str, ...] = ()
    """What is in /boot: kernels that guests could share."""
    member_of: str | None = None
    """The name of the cluster this host is in."""
    leftovers: tuple[str, ...] = ()
    """Files of some cluster in the data directory."""


class Names(Protocol):
    """Turns host names into addresses."""

    async def addresses(self, name: str, family: Family) -> tuple[str, ...]:
        """All addresses of `name`, empty when it does not resolve."""
        ...


class SystemNames:
    """The resolver of this host."""

    async def addresses(self, name: str, family: Family) -> tuple[str, ...]:
        """See `Names.addresses`."""
        wanted = socket.AF_INET if family == 4 else socket.AF_INET6
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, family=wanted, type=socket.SOCK_STREAM)
        except socket.gaierror:
            return ()
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def own_name() -> str:
    """The name the kernel knows this host by, or GANETI_HOSTNAME. Never asks a resolver (spec: seed, row 17)."""
    return (os.environ.get(HOST_NAME_VARIABLE) or os.uname().nodename).strip().lower().rstrip(".")


class Detector:
    """Looks at one host."""

    def __init__(self, *, runner: Runner, files: Files, names: Names, paths: Paths, uid: int, host_name: str) -> None:
        self._runner, self._files, self._names, self._paths = runner, files, names, paths
        self._uid, self._host_name = uid, host_name

    async def look(self, cluster_name: str, family: Family) -> HostFacts:
        """All facts. `Failed` when the host has no `ip` command, or it says nothing readable."""
        local, devices, bridges = decode_links(await self._ip_says())
        cluster_addresses = await self._names.addresses(cluster_name, family)
        stranger = next((each for each in cluster_addresses if each not in local and not is_loopback(each)), None)
        return HostFacts(
            uid=self._uid,
            host_name=self._host_name,
            host_addresses=await self._names.addresses(self._host_name, family),
            cluster_addresses=cluster_addresses,
            answers=await self._who_answers(stranger) if stranger is not None else None,
            local=local,
            devices=devices,
            bridges=bridges,
            dom0=self._is_dom0(),
            volume_groups=await self._volume_groups(),
            boot_files=tuple(f"/boot/{name}" for name in self._files.list_dir("/boot")),
            member_of=member_of(self._files, self._paths),
            leftovers=tuple(files_below(self._files, self._paths.data)),
        )

    async def _ip_says(self) -> str:
        done = await self._runner.run(["ip", "-json", "-details", "address", "show"], timeout_s=30)
        return done.expect_success("list the network devices of this host").stdout

    async def _volume_groups(self) -> dict[str, float]:
        try:
            done = await self._runner.run(
                ["vgs", "--reportformat", "json", "--units", "m", "--nosuffix", "--options", "vg_name,vg_size"],
                timeout_s=60,
            )
        except Failed:
            return {}  # no LVM tools: then there is no volume group that we could use either
        return decode_volume_groups(done.stdout) if done.status == 0 else {}

    def _is_dom0(self) -> bool:
        try:
            return b"control_d" in self._files.read("/proc/xen/capabilities")
        except OSError:
            return False

    async def _who_answers(self, address: str) -> str | None:
        connected, pinged = await asyncio.gather(self._accepts(address), self._replies(address))
        return f"TCP port {NODED_PORT}" if connected else "ping" if pinged else None

    async def _accepts(self, address: str) -> bool:
        try:
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(address, NODED_PORT)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _replies(self, address: str) -> bool:
        try:
            done = await self._runner.run(["ping", "-n", "-c", "1", "-W", "1", address], timeout_s=10)
        except Failed:
            return False  # no ping on this host: the TCP port alone must do
        return done.status == 0


def decode_links(text: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """(address to device, devices, bridges) from `ip -json -details address show`. `Failed` when it is not JSON."""
    try:
        links = json.loads(text)
    except ValueError as error:
        raise Failed(f"cannot read what 'ip -json address show' says: {error}") from error
    local = {
        entry["local"]: link["ifname"]
        for link in links
        for entry in link.get("addr_info", [])
        if "local" in entry and entry.get("scope") != "link"
    }
    devices = tuple(link["ifname"] for link in links if link.get("ifname"))
    bridges = tuple(link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind") == "bridge")
    return local, devices, bridges


def decode_volume_groups(text: str) -> dict[str, float]:
    """Volume group to size in MiB from the JSON report of `vgs`."""
    reports = json.loads(text)["report"]
    return {group["vg_name"]: float(group["vg_size"]) for report in reports for group in report["vg"]}


def is_loopback(address: str) -> bool:
    """Whether packets to the address never leave the host."""
    return address.startswith("127.") or address == "::1"


def member_of(files: Files, paths: Paths) -> str | None:
    """The cluster that the settings of this node name, if it has any."""
    try:
        settings = json.loads(files.read(paths.node_settings))
    except (OSError, ValueError):
        return None  # no settings, or broken ones: those show among the leftovers
    name = settings.get("cluster_name")
    return str(name) if name else None


def files_below(files: Files, directory: str) -> list[str]:
    """Every file below a directory, sorted; what the operator keeps in `rapi/` (users) is nobody's leftover."""
    found: list[str] = []
    for name in files.list_dir(directory):
        path = f"{directory}/{name}"
        if name == "rapi":
            continue
        if files.kind(path) == "directory":
            found += files_below(files, path)
        else:
            found.append(path)
    return found

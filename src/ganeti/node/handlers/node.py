"""Calls about the node as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from ganeti.base.errors import GanetiError
from ganeti.base.log import Log
from ganeti.contract.calls.node import (
    NodeDelay,
    NodeFacts,
    NodeFactsGet,
    NodeInventory,
    NodeInventoryGet,
    NodeLeave,
    Ping,
    Pong,
)
from ganeti.contract.guest import GuestNic, GuestState, HypervisorFacts
from ganeti.contract.storage import DiskFound, Space
from ganeti.node.handlers import handles
from ganeti.node.host import Host

_log: Final = Log(__name__)


@handles(Ping)
async def ping(host: Host, call: Ping) -> Pong:
    """Asks no driver: a ping answers even when a hypervisor hangs."""
    return Pong(
        name=host.name,
        version=host.version,
        now_s=host.clock.now_s(),
        epoch=host.fence.epoch,
        boot_id=host.boot_id,
    )


@handles(NodeFactsGet)
async def facts(host: Host, call: NodeFactsGet) -> NodeFacts:
    """What cannot be said is a problem under its name, not an error of the whole."""
    hypervisors: dict[str, HypervisorFacts] = {}
    storages: dict[str, Space] = {}
    problems = Problems()
    for name in call.hypervisors:
        with problems.of(name):
            hypervisors[name] = await host.hypervisor(name).facts()
    for place in call.storages:
        with problems.of(place.template):
            storages[place.template] = await host.storage(place.template).space(place.location)
    return NodeFacts(boot_id=host.boot_id, hypervisors=hypervisors, storages=storages, problems=problems.found)


@handles(NodeInventoryGet)
async def inventory(host: Host, call: NodeInventoryGet) -> NodeInventory:
    """Problems are keyed by hypervisor, template, `MODE:LINK`, `interfaces` or `certificate`."""
    guests: list[GuestState] = []
    disks: list[DiskFound] = []
    interfaces: list[str] = []
    problems = Problems()
    for name in call.hypervisors:
        with problems.of(name):
            guests.extend(await host.hypervisor(name).list())
            if name in call.hvparams:
                problems.add(name, await host.hypervisor(name).check(call.hvparams[name]))
    for place in call.storages:
        with problems.of(place.template):
            disks.extend(await host.storage(place.template).list(place.location))
            problems.add(place.template, await host.storage(place.template).check(place.location))
    for mode, link in call.links:
        with problems.of(f"{mode}:{link}"):
            nic = GuestNic(index=0, uuid="", mac="", mode=mode, link=link)
            problems.add(f"{mode}:{link}", await host.network(mode).check(nic))
    with problems.of("interfaces"):
        interfaces.extend(await host.taps.list(host.tap_prefix))
    expires_s: float | None = None
    with problems.of("certificate"):
        expires_s = _certificate_expires_s(host)
    return NodeInventory(
        name=host.name,
        version=host.version,
        now_s=host.clock.now_s(),
        boot_id=host.boot_id,
        epoch=host.fence.epoch,
        guests=tuple(guests),
        disks=tuple(disks),
        interfaces=tuple(interfaces),
        problems=problems.found,
        certificate_expires_s=expires_s,
    )


@handles(NodeDelay)
async def delay(host: Host, call: NodeDelay) -> None:
    """Nothing is touched."""
    await asyncio.sleep(call.duration_s)


@handles(NodeLeave)
async def leave(host: Host, call: NodeLeave) -> None:
    """Guests and disks are the master's business: it has taken them away before, or wants them kept."""
    paths = host.paths
    for path in (paths.node_settings, paths.node_certificate, paths.ca_certificate, paths.ca_key, paths.epoch):
        host.files.remove(path)
    if host.replica is not None:
        await host.replica.remove()
    # Also what it has from the time when it was the master: a host that joins again starts with nothing.
    for name in host.files.list_dir(paths.data):
        if host.files.kind(f"{paths.data}/{name}") == "file":
            host.files.remove(f"{paths.data}/{name}")
    links = f"{paths.run}/instance-disks"
    for name in host.files.list_dir(links):
        if not host.files.exists(f"{links}/{name}"):
            host.files.remove(f"{links}/{name}")
    host.left.set()
    _log.info("left the cluster", node=host.name)


class Problems:
    """Collects what drivers object, by the name of who objects."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""

    def of(self, name: str) -> Problems:
        """As a context: an error inside becomes a problem of that name."""
        self._name = name
        return self

    def add(self, name: str, sentences: Iterable[str]) -> None:
        """Note sentences; several of one name stand one after another."""
        said = "; ".join(sentences)
        if said:
            self.found[name] = f"{self.found[name]}; {said}" if name in self.found else said

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, GanetiError | OSError):
            self.add(self._name, [str(error)])
            return True
        return False


def _certificate_expires_s(host: Host) -> float | None:
    if not host.files.exists(host.paths.node_certificate):
        return None  # a simulated node has none
    from ganeti.wire.certificates import expires_s

    return expires_s(host.files.read(host.paths.node_certificate))

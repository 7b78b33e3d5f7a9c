"""The wire of a simulated cluster: nodes are functions, and messages get lost, late or doubled as told.

Everything follows the event loop's clock and one seeded generator, so a run repeats exactly.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import MutableMapping
from typing import Final

import msgspec

from ganeti.base.errors import Unavailable
from ganeti.base.tasks import Scope
from ganeti.contract.wire import Address, Serve
from ganeti.wire.lost import ConnectionLost


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the network is: probabilities from 0 to 1 for each message, times in seconds."""

    call_lost: float = 0.0
    """The call never arrives."""

    answer_lost: float = 0.0
    """The deed is done, its answer never arrives."""

    doubled: float = 0.0
    """The call arrives twice, the second time late."""

    late: float = 0.0
    """The call arrives after up to `late_s` more."""

    late_s: float = 5.0

    silent: float = 0.5
    """Of what is lost: how much is lost in silence, so that the caller waits out its limit. Else it is told."""

    delay_s: float = 0.001
    """What every message takes at least, one way."""


NO_FAULTS: Final = Faults()


class MemoryNetwork:
    """The nodes that can be reached, and what stands between. One for a simulated cluster, shared by its wires.

    Deeds run in `scope`: a caller that gives up does not stop them, as with a real node; `kill` does.
    """

    def __init__(self, *, scope: Scope, rng: random.Random, faults: Faults = NO_FAULTS) -> None:
        self.faults = faults
        self._scope = scope
        self._rng = rng
        self._nodes: MutableMapping[str, Serve] = {}
        self._running: dict[str, dict[asyncio.Task[None], None]] = {}
        self._cut: set[frozenset[str]] = set()

    def attach(self, name: str, serve: Serve) -> None:
        """From now on `serve` answers for the node of that name."""
        self._nodes[name] = serve

    def kill(self, name: str) -> None:
        """The node daemon dies: deeds stop where they wait, connections to it break."""
        self._nodes.pop(name, None)
        for task in list(self._running.get(name, {})):
            task.cancel()

    def cut(self, one: str, other: str) -> None:
        """No message passes between the two, in silence, until `mend`."""
        self._cut.add(frozenset((one, other)))

    def mend(self, one: str, other: str) -> None:
        """Undo `cut`."""
        self._cut.discard(frozenset((one, other)))

    def wire(self, *, source: str, certificate: str) -> MemoryWire:
        """The wire of one caller: `source` is its node name, `certificate` the fingerprint nodes will see."""
        return MemoryWire(self, source=source, certificate=certificate)

    async def carry(self, to: Address, envelope: bytes, *, source: str, certificate: str) -> bytes:
        """One call there and its answer back, with the faults of the day. Waits for ever where all is silence."""
        faults, chance = self.faults, self._rng.random
        await asyncio.sleep(faults.delay_s)
        if self._is_cut(source, to.name):
            await _silence()
        if chance() < faults.call_lost:
            await self._lose(to, "the call")
        if chance() < faults.late:
            await asyncio.sleep(chance() * faults.late_s)
        serve = self._nodes.get(to.name)
        if serve is None:
            raise ConnectionLost(
                f"the node daemon of {to.name} does not answer on {to.host}:{to.port}: connection refused; "
                "start it there with `ganeti-daemons start`",
                node=to.name,
            )
        if chance() < faults.doubled:
            _ = self._deliver(to.name, serve, envelope, certificate, delay_s=chance() * faults.late_s)
        answer = await self._deliver(to.name, serve, envelope, certificate)
        await asyncio.sleep(faults.delay_s)
        if self._is_cut(source, to.name):
            await _silence()
        if chance() < faults.answer_lost:
            await self._lose(to, "the answer")
        return answer

    def _deliver(
        self, name: str, serve: Serve, envelope: bytes, certificate: str, *, delay_s: float = 0.0
    ) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def deed() -> None:
            if delay_s:
                await asyncio.sleep(delay_s)
            said = await serve(envelope, certificate)
            if not answer.done():  # the caller may have given up
                answer.set_result(said)

        task = self._scope.start(deed(), name=f"call to {name}")
        running = self._running.setdefault(name, {})
        running[task] = None

        def ended(task: asyncio.Task[None]) -> None:
            running.pop(task, None)
            if not answer.done():
                answer.set_exception(ConnectionLost(f"the node daemon of {name} died", node=name))
                answer.exception()  # nobody may be waiting any more

        task.add_done_callback(ended)
        return answer

    def _is_cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._cut

    async def _lose(self, to: Address, what: str) -> None:
        if self._rng.random() < self.faults.silent:
            await _silence()
        raise ConnectionLost(f"the connection to node {to.name} broke: {what} was lost", node=to.name)


class MemoryWire:
    """A `Wire` into a `MemoryNetwork`. Two wires with different `source` can be cut off separately."""

    def __init__(self, network: MemoryNetwork, *, source: str, certificate: str) -> None:
        self._network = network
        self._source = source
        self._certificate = certificate
        self._closed = False

    async def exchange(self, to: Address, envelope: bytes, *, timeout_s: float) -> bytes:
        """See `Wire.exchange`."""
        if self._closed:
            raise ConnectionLost("this wire is closed", node=to.name)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._network.carry(to, envelope, source=self._source, certificate=self._certificate)
        except TimeoutError:
            raise Unavailable(
                f"the node daemon of {to.name} ({to.host}:{to.port}) gave no answer within {timeout_s:g} s; "
                "it may still be at work",
                node=to.name,
            ) from None

    async def close(self) -> None:
        """See `Wire.close`."""
        self._closed = True


async def _silence() -> None:
    await asyncio.get_running_loop().create_future()

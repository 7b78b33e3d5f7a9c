"""Calls to nodes by identity: where a node listens, its debts paid first, and fan-out with errors as answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from ganeti.base.errors import Bug, Failed, Refused, Unavailable
from ganeti.base.log import Log
from ganeti.contract.calls import Call, codec
from ganeti.contract.calls.subjects import keys_of
from ganeti.contract.wire import Address
from ganeti.master.state import State
from ganeti.model.objects import Node, Uuid

log = Log(__name__)

R = TypeVar("R")
DEBT_PREFIX: Final = "debt/"


class Caller(Protocol):
    """Sends one call to an address (`ganeti.wire.client.NodeClient`)."""

    async def call(self, address: Address, call: Call[R]) -> R:
        """The node's answer, or its error, or `Unavailable`."""
        ...


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A reversal that a silent node still has to play. `call` is the encoded call."""

    node: Uuid
    job: int
    call: msgspec.Raw


class Nodes:
    """All nodes of the cluster, as callees."""

    def __init__(self, state: State, caller: Caller) -> None:
        self._state = state
        self.caller = caller
        self.debts: dict[Uuid, dict[str, Owed]] = {}
        self._paying: dict[Uuid, asyncio.Lock] = {}

    def load_debts(self) -> None:
        """Take the debts that an earlier master left from what the store held."""
        for key in [key for key in self._state.entries if key.startswith(DEBT_PREFIX)]:
            owed = msgspec.json.decode(self._state.entries.pop(key).value, type=Owed)
            self.debts.setdefault(owed.node, {})[key] = owed

    async def call(self, node: Uuid, call: Call[R]) -> R:
        """Ask one node; what it owes is paid before anything new is served to it.

        Raises the node's `Refused`, `Unavailable` or `Failed`; a bug of the node is a `Failed` here.
        """
        known = self._state.picture.nodes.get(node)
        if known is None:
            raise Unavailable(f"the cluster has no node {node}")
        if known.offline:
            raise Unavailable(f"node {known.name} is marked offline", node=known.name)
        if self.debts.get(node) and not call.only_reads:
            await self._pay_before(node, call)
        return await self._ask(known, call)

    async def call_at(self, address: Address, call: Call[R]) -> R:
        """Ask a host at an address, whether or not it is a node. Raises like `call`."""
        try:
            return await self.caller.call(address, call)
        except Bug as bug:  # the host's, who has written down where; the master is sound and goes on
            raise Failed(bug.message, **bug.facts) from bug

    async def call_each(self, calls: Mapping[Uuid, Call[R]]) -> dict[Uuid, R | Unavailable | Failed]:
        """Ask several nodes at once; one's error is its answer."""

        async def one(node: Uuid, call: Call[R]) -> R | Unavailable | Failed:
            try:
                return await self.call(node, call)
            except (Unavailable, Failed) as error:
                return error
            except Refused as refusal:
                return Failed(refusal.message, **{**refusal.facts, "refused": refusal.code})

        async with asyncio.TaskGroup() as group:
            asked = {node: group.create_task(one(node, call)) for node, call in calls.items()}
        return {node: task.result() for node, task in asked.items()}

    async def pay(self, node: Uuid) -> None:
        """Play what a node owes, newest first. Raises `Unavailable` when it is still silent.

        What it cannot do holds up the rest of the same job only, and is raised at the end.
        """
        known = self._state.picture.nodes[node]
        tried: set[str] = set()
        stuck: dict[int, Failed | Refused] = {}
        async with self._paying.setdefault(node, asyncio.Lock()):
            while left := self.debts.get(node, {}).keys() - tried:  # more may come up while one is paid
                key = max(left)
                tried.add(key)
                owed = self.debts[node][key]
                if owed.job in stuck:
                    continue
                # One whose payer was killed right after it paid is not paid again.
                if self._state.holds(key):
                    try:
                        await self._ask(known, call_of(owed))
                    except (Failed, Refused) as error:
                        stuck[owed.job] = error
                        continue
                    await self._state.commit(delete=[key])
                log.info("debt paid", node=known.name, job=owed.job)
                del self.debts[node][key]
            if not self.debts.get(node):
                self.debts.pop(node, None)
        if stuck:
            raise next(iter(stuck.values()))

    async def _pay_before(self, node: Uuid, call: Call[R]) -> None:
        """What a node answers that it cannot do holds up only calls about the same guest or disk: it may never can."""
        try:
            await self.pay(node)
        except (Failed, Refused) as error:
            owed = (keys_of(call_of(debt)) for debt in self.debts.get(node, {}).values())
            if keys_of(call) & {key for keys in owed for key in keys}:
                raise
            log.warning("a debt cannot be paid, other things go on", node=node, cause=error)

    async def try_to_pay_all(self) -> None:
        """Pay what can be paid now; the rest stays owed."""
        for node in list(self.debts):
            if node not in self._state.picture.nodes or self._state.picture.nodes[node].offline:
                continue
            try:
                await self.pay(node)
            except (Unavailable, Failed, Refused) as error:
                log.warning("node still owes", node=node, calls=len(self.debts.get(node, ())), cause=error)

    async def _ask(self, node: Node, call: Call[R]) -> R:
        return await self.call_at(address_of(node), call)

    def owe(self, key: str, owed: Owed) -> None:
        """Remember a debt that has been committed."""
        self.debts.setdefault(owed.node, {})[key] = owed


def call_of(owed: Owed) -> Call[Any]:
    """The call that reverses, or `Failed` when another version wrote it in a way that this one cannot read."""
    try:
        return codec.decode(owed.call)
    except msgspec.MsgspecError as error:
        raise Failed(f"this version cannot read a reversal of job {owed.job}: {error}", job=owed.job) from error


def address_of(node: Node) -> Address:
    """Where a node's daemon listens and who must answer there."""
    return Address(name=node.name, host=node.primary_ip, port=node.port, certificate=node.certificate)

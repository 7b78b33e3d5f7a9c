"""A real master whose nodes are small fakes: they keep a copy of the store, a fence and settings, and can be silent."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from ganeti.base.clock import LoopClock
from ganeti.base.errors import WRONG_STATE, Refused, Unavailable
from ganeti.base.ids import SeededIds
from ganeti.base.paths import Paths
from ganeti.contract.calls import Call
from ganeti.contract.calls.hooks import HooksFind, HooksFound
from ganeti.contract.calls.member import (
    NodeSettingsPut,
    ReplicaState,
    StoreAppend,
    StoreSnapshot,
    StoreStateGet,
    Vote,
    VoteGet,
)
from ganeti.contract.calls.node import NodeLeave, Ping, Pong
from ganeti.contract.join import JoinRequest, Proof, Token, TokenWish, read_token
from ganeti.contract.store import Revision, Txn
from ganeti.contract.wire import Address
from ganeti.main.catalog import build_catalog
from ganeti.master.enrol import Answer
from ganeti.master.master import Household, Master, Ports, at_work
from ganeti.model.objects import Cluster, Group, Node, Uuid, key_of
from ganeti.store.memory import MemoryDisk, MemoryStore
from ganeti.wire import certificates

R = TypeVar("R")
NAMES = ("node1.example.com", "node2.example.com", "node3.example.com")


class FakeNode:
    """One node, as far as membership goes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.silent = False
        self.epoch = 0
        self.master_name = NAMES[0]
        self.revision = Revision(0)
        self.values: dict[str, bytes] = {}
        self.settings: list[NodeSettingsPut] = []
        self.left = False
        self.version = "4.0.0.dev0"
        self.clock_off_s = 0.0
        self.snapshots = 0

    def answer(self, call: Call[Any], epoch: int) -> Any:
        """What its daemon says."""
        if self.silent:
            raise Unavailable(f"{self.name} is silent")
        if not call.unfenced:
            if epoch < self.epoch:
                raise Refused(WRONG_STATE, "a newer master was here", newest_epoch=self.epoch)
            self.epoch = epoch
        match call:
            case Ping():
                now_s = LoopClock().now_s() + self.clock_off_s
                return Pong(name=self.name, version=self.version, now_s=now_s, epoch=self.epoch)
            case NodeSettingsPut():
                self.settings.append(call)
                return None
            case HooksFind():
                return HooksFound()
            case NodeLeave():
                self.left = True
                return None
            case StoreStateGet():
                return self._state()
            case StoreAppend(after=after, changes=changes):
                if self.revision >= after:
                    for change in changes:
                        self._apply(change.values)
                        self.revision = max(self.revision, change.revision)
                return self._state()
            case StoreSnapshot(revision=revision, part=part, last=last, entries=entries):
                if part == 0:
                    self.values = {}
                self._apply({key: entry.value for key, entry in entries.items()})
                if last:
                    self.revision = revision
                    self.snapshots += 1
                return self._state()
            case VoteGet():
                return Vote(name=self.name, epoch=self.epoch, master_name=self.master_name, replica=self._state())
            case _:
                raise AssertionError(f"nobody expects a {type(call).__name__}")

    def _apply(self, values: dict[str, bytes | None] | dict[str, bytes]) -> None:
        for key, value in values.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value

    def _state(self) -> ReplicaState:
        return ReplicaState(revision=self.revision, lineage=self.values.get("lineage", b"").decode())


class Door:
    """Doors that tests walk through without a network."""

    def __init__(self, authority: MemoryAuthority) -> None:
        self.authority, self.port = authority, 1812
        self.open: Answer | None = None
        self.names = {name: (f"192.0.2.{number}",) for number, name in enumerate(NAMES, start=1)}

    @asynccontextmanager
    async def listening(self, host: str, answer: Answer) -> AsyncIterator[int]:
        """See `Doors.listening`."""
        self.open = answer
        try:
            yield self.port
        finally:
            self.open = None

    async def addresses(self, name: str, family: int) -> tuple[str, ...]:
        """See `Doors.addresses`."""
        return self.names.get(name, ())


class MemoryAuthority:
    """A real authority, in memory."""

    def __init__(self) -> None:
        self._pair = certificates.make_ca(cluster_name="cluster.example.com", serial=1, now_s=LoopClock().now_s())

    @property
    def certificate(self) -> bytes:
        """See `Authority.certificate`."""
        return self._pair.certificate

    @property
    def fingerprint(self) -> bytes:
        """See `Authority.fingerprint`."""
        return bytes.fromhex(certificates.fingerprint(self._pair.certificate))

    def sign(self, request: bytes, *, node_name: str, addresses: list[str]) -> tuple[bytes, str]:
        """See `Authority.sign`."""
        now_s = LoopClock().now_s()
        made = certificates.sign_request(
            self._pair, request, node_name=node_name, addresses=addresses, serial=7, now_s=now_s
        )
        return made, certificates.fingerprint(made)


class World:
    """Nodes, a store that outlives masters, and the door of the one at work."""

    def __init__(self, *, members: int = 1) -> None:
        self.disk = MemoryDisk()
        self.nodes = {name: FakeNode(name) for name in NAMES}
        self.door = Door(MemoryAuthority())
        self.rng = random.Random(1)
        self.members = members

    async def prepare(self) -> None:
        """Put a cluster into the store."""
        group = Group(uuid=Uuid("g"), name="default")
        nodes = [
            Node(
                uuid=Uuid(f"n{number}"),
                name=name,
                primary_ip=f"192.0.2.{number}",
                secondary_ip=f"192.0.2.{number}",
                group=group.uuid,
                certificate=f"{number}" * 64,
            )
            for number, name in enumerate(NAMES[: self.members], start=1)
        ]
        cluster = Cluster(
            uuid=Uuid("c"),
            cluster_name="cluster.example.com",
            master_node=nodes[0].uuid,
            master_ip="192.0.2.200",
            master_netdev="eth0",
            enabled_hypervisors=("fake",),
            enabled_disk_templates=("diskless",),
        )
        store = await MemoryStore.open(self.disk)
        await store.commit(Txn(put={key_of(each): msgspec.json.encode(each) for each in (cluster, group, *nodes)}))
        await store.close()

    @asynccontextmanager
    async def master(self, *, least_epoch: int = 0) -> AsyncIterator[Master]:
        """A master at work."""
        catalog, addressing = build_catalog()
        world = self

        class Caller:
            def __init__(self, epoch: int) -> None:
                self.epoch = epoch

            async def call(self, address: Address, call: Call[R]) -> R:
                answer: R = world.nodes[address.name].answer(call, self.epoch)
                return answer

        class NoArchive:
            async def add(self, jobs: Any) -> None:
                raise AssertionError("nothing is archived here")

            async def get(self, id: Any) -> None:
                return None

        store = await MemoryStore.open(self.disk)
        ports = Ports(
            store=store,
            archive=NoArchive(),  # type: ignore[arg-type]
            caller=lambda cluster, epoch: Caller(epoch),
            clock=LoopClock(),
            ids=SeededIds(self.rng),
            catalog=catalog,
            addressing=addressing,
            paths=Paths(),
            version="4.0.0.dev0",
            household=Household(doors=self.door, authority_key=lambda: "the key"),
            least_epoch=least_epoch,
        )
        try:
            async with at_work(ports) as master:
                yield master
        finally:
            await store.close()

    # -- what a host does ---------------------------------------------------------------------------------

    async def ask(self, path: str, body: Any, *, peer: str) -> tuple[int, Any]:
        """Knock at the door: HTTP status and answer."""
        assert self.door.open is not None, "the door is closed"
        status, answer = await self.door.open(path, msgspec.json.encode(body), peer)
        return status, msgspec.json.decode(answer)

    def request(self, token: Token, number: int = 2, **other: Any) -> JoinRequest:
        """What the host of that number says when it wants in."""
        fields: dict[str, Any] = {
            "id": token.id,
            "secret": token.secret,
            "node_name": NAMES[number - 1],
            "primary_ip": f"192.0.2.{number}",
            "secondary_ip": f"192.0.2.{number}",
            "request": certificates.make_request(NAMES[number - 1]).certificate.decode(),
            "version": "4.0.0.dev0",
            "protocol": 4_000_000,
            "now_s": LoopClock().now_s(),
        }
        return JoinRequest(**fields | other)

    async def join(self, token: Token, number: int = 2, **other: Any) -> tuple[int, Any]:
        """The first step of a host."""
        asked = self.request(token, number, **other)
        return await self.ask("/join", asked, peer=f"192.0.2.{number}")


async def token_of(master: Master, **wish: Any) -> Token:
    """A fresh token."""
    assert master.enrolment is not None
    answer = await master.enrolment.new_token(TokenWish(**wish))
    return read_token(answer["token"])


def proof(token: Token) -> Proof:
    """Who has that token."""
    return Proof(id=token.id, secret=token.secret)

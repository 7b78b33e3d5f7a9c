"""A master process of a simulated cluster: it can be killed before and after every step it takes in the outside world.

A step is a commit of the store or a call to a node. Each is counted and named, so that a scenario can first list the
steps of an operation and then kill a master at each of them in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from ganeti.base.errors import Bug, GanetiError, Unavailable
from ganeti.base.tasks import Scope
from ganeti.contract.calls import Call
from ganeti.contract.store import Change, Entry, Revision, Snapshot, Txn
from ganeti.contract.wire import Address
from ganeti.master.master import Master, Ports, at_work
from ganeti.master.nodes import Caller
from ganeti.master.state import Deposed
from ganeti.store.memory import MemoryStore
from sim.life import Dead, Life

R = TypeVar("R")
T = TypeVar("T")


class Watcher(Protocol):
    """Who hears of a process (the world)."""

    def note(self, text: str) -> None:
        """A line for the trace."""
        ...

    def violated(self, sentence: str) -> None:
        """Something that must not be."""
        ...


class MasterProcess:
    """One run of a master, from its start to its end. `name` tells it from the others of its world."""

    def __init__(self, name: str, watcher: Watcher, *, open_store: Callable[[], Awaitable[MemoryStore]]) -> None:
        self.life = Life(name)
        self.master: Master | None = None
        self.steps: list[str] = []
        self.kill_at: int | None = None
        """Index of the step at which it dies."""
        self.ended = False
        self._watcher = watcher
        self._open_store = open_store
        self._store: MemoryStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._requests: Scope | None = None
        self._asking: dict[asyncio.Future[None], None] = {}

    def start(self, scope: Scope, ports: Callable[[MasterProcess, SteppedStore], Ports]) -> None:
        """Run as a child of `scope`."""
        self._task = scope.start(self._run(ports), name=self.life.name)

    def kill(self) -> None:
        """Die at once, as from kill -9: what is under way in the store lands or not, messages on their way arrive."""
        if self.life.dead or self.ended:
            return
        self._watcher.note(f"{self.life.name} is killed")
        self.life.dead = True
        if self._store is not None:
            self._store.crash()
        if self._task is not None:
            self._task.cancel()
        self._hang_up()

    def stop(self) -> None:
        """Ask it to end, as from kill -15."""
        self._watcher.note(f"{self.life.name} is asked to stop")
        self._stop.set()

    def step(self, what: str) -> None:
        """The master reaches a step; it may die here."""
        self.life.check()
        self.steps.append(what)
        if self.kill_at == len(self.steps) - 1:
            self._watcher.note(f"{self.life.name} dies {what}")
            self.kill()
            raise Dead(self.life.name)

    async def ask(self, request: Callable[[Master], Awaitable[T]]) -> T:
        """Let the master serve a request of a client; `Unavailable` when it dies over it, which leaves all open."""
        if self.master is None or self._requests is None or self.life.dead or self.ended:
            raise Unavailable("there is no master")
        master, answers = self.master, list[T | GanetiError]()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking[done] = None

        async def serve() -> None:
            try:
                answers.append(await request(master))
            except GanetiError as error:
                if isinstance(error, Bug):
                    self._watcher.violated(f"a request met a bug: {error.message}")
                answers.append(error)
            if not done.done():
                done.set_result(None)

        _ = self._requests.start(serve(), name="request")
        try:
            await done
        finally:
            self._asking.pop(done, None)
        answer = answers[0]
        if isinstance(answer, GanetiError):
            raise answer
        return answer

    async def _run(self, ports: Callable[[MasterProcess, SteppedStore], Ports]) -> None:
        try:
            self._store = await self._open_store()
            async with at_work(ports(self, SteppedStore(self._store, self))) as master, Scope() as self._requests:
                self.master = master
                await self._stop.wait()
                self.master = None
                self._hang_up()
        except asyncio.CancelledError:
            if not self.life.dead:
                raise
        except Dead:
            pass  # and so it shall be
        except BaseException as error:  # the end of a process: whatever it died of is looked at
            self._autopsy(error)
        finally:
            self.ended = True
            self._hang_up()
            if self._store is not None and not self.life.dead:
                self._store.crash()
            self._watcher.note(f"{self.life.name} has ended")

    def _autopsy(self, error: BaseException) -> None:
        if self.life.dead:
            return
        for cause in _leaves(error):
            self._watcher.note(f"{self.life.name} ends: {type(cause).__name__}: {cause}")
            if not isinstance(cause, Deposed | Unavailable):
                self._watcher.violated(f"{self.life.name} died of {type(cause).__name__}: {cause}")

    def _hang_up(self) -> None:
        for asking in list(self._asking):
            if not asking.done():
                asking.set_exception(Unavailable("the connection to the master broke"))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


class SteppedStore:
    """The store as one master process has it."""

    def __init__(self, store: MemoryStore, process: MasterProcess) -> None:
        self._store = store
        self._process = process

    async def read(self, prefix: str = "") -> Snapshot:
        """See `Store.read`."""
        self._process.life.check()
        return await self._store.read(prefix)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        self._process.life.check()
        return await self._store.get(key)

    async def commit(self, txn: Txn) -> Revision:
        """See `Store.commit`. Two steps."""
        keys = " ".join(sorted([*txn.put, *(f"-{key}" for key in txn.delete)]))
        self._process.step(f"before commit {keys}")
        try:
            revision = await self._store.commit(txn)
        except BaseException:
            self._process.life.check()
            raise
        self._process.step(f"after commit {keys}")
        return revision

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Change]:
        """See `Store.watch`."""
        return self._store.watch(prefix, after=after)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()


class SteppedCaller:
    """The way to the nodes as one master process has it. Two steps for a call; the wire has a third in between."""

    def __init__(self, caller: Caller, process: MasterProcess) -> None:
        self._caller = caller
        self._process = process

    async def call(self, address: Address, call: Call[R]) -> R:
        """See `Caller.call`."""
        what = f"{call.__struct_config__.tag} to {address.name}"
        self._process.step(f"before {what}")
        try:
            reply = await self._caller.call(address, call)
        except BaseException:
            self._process.life.check()
            raise
        self._process.step(f"after {what}")
        return reply

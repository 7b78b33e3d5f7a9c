"""The engines that the suite runs on, each with what it takes to crash one and open it again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from ganeti.contract.store import Store
from ganeti.store.memory import Faults, MemoryDisk, MemoryStore
from ganeti.store.sqlite import SqliteStore


class World(Protocol):
    """Where stores of one engine live. Whatever it opened is closed by `end`."""

    async def open(self, **bounds: Any) -> Store: ...

    async def crash(self, store: Store) -> None:
        """The process of the store dies; `open` finds what was on the disk at this moment."""

    async def end(self) -> None: ...


class SqliteWorld:
    """Crashes by going on with a copy of the files as they are at that moment: what a kill would leave."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lives = 0
        self._opened: list[SqliteStore] = []

    @property
    def path(self) -> str:
        return str(self._directory / f"store{self._lives}.db")

    async def open(self, **bounds: Any) -> SqliteStore:
        store = await SqliteStore.open(self.path, **bounds)
        self._opened.append(store)
        return store

    async def crash(self, store: Store) -> None:
        before = self.path
        self._lives += 1
        for suffix in ("", "-wal"):
            if os.path.exists(before + suffix):
                shutil.copy(before + suffix, self.path + suffix)
        await store.close()

    async def end(self) -> None:
        for store in self._opened:
            await store.close()


class MemoryWorld:
    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.faults = Faults()
        self._opened: list[MemoryStore] = []

    async def open(self, **bounds: Any) -> MemoryStore:
        store = await MemoryStore.open(self.disk, faults=self.faults, **bounds)
        self._opened.append(store)
        return store

    async def crash(self, store: Store) -> None:
        assert isinstance(store, MemoryStore)
        store.crash()

    async def end(self) -> None:
        for store in self._opened:
            await store.close()

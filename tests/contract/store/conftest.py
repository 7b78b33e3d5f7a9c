"""Every engine as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store.worlds import MemoryWorld, SqliteWorld, World


@pytest.fixture(params=["sqlite", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world: World = SqliteWorld(tmp_path) if request.param == "sqlite" else MemoryWorld()
    yield world
    await world.end()

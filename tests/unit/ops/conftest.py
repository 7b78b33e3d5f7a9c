"""The world that operations are tested in."""

from __future__ import annotations

import pytest

from tests.unit.ops.world import World


@pytest.fixture
def world() -> World:
    return World()

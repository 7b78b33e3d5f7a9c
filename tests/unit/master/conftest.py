"""What tests of the master work with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.master.desk import Desk, Probe, registered


@pytest.fixture
def operation() -> Iterator[Probe]:
    with registered() as made:
        yield made


@pytest.fixture
def desk(operation: Probe) -> Desk:
    return Desk(operation)

"""Hosts for the tests of hypervisors, taken away after each test whatever happened."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.hypervisor.worlds import FakeWorld, KvmWorld, World, why_not_kvm


@pytest.fixture
def root() -> Iterator[Path]:
    """A short directory: paths of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="gt") as directory:
        yield Path(directory)


@pytest.fixture
def kvm_world(root: Path) -> Iterator[KvmWorld]:
    reason = why_not_kvm()
    if reason:
        pytest.skip(reason)
    world = KvmWorld(root)
    try:
        yield world
    finally:
        world.close()


@pytest.fixture(params=["fake", pytest.param("kvm", marks=pytest.mark.qemu)])
def world(request: pytest.FixtureRequest, root: Path) -> World:
    if request.param == "fake":
        return FakeWorld(root)
    found: KvmWorld = request.getfixturevalue("kvm_world")
    return found

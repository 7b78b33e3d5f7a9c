"""A master that comes back goes on only if no other has taken over meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ganeti.base.paths import Paths
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import Txn
from ganeti.contract.wire import Address
from ganeti.main import daemon
from ganeti.main.may_start import least_epoch
from ganeti.store.memory import MemoryStore
from sim.files import MemoryFiles
from tests.unit.membership.world import NAMES, World

SETTINGS = NodeSettings(
    cluster_uuid="c",
    cluster_name="cluster.example.com",
    node_uuid="n1",
    node_name=NAMES[0],
    master_name=NAMES[0],
    host="192.0.2.1",
)


async def asked(world: World, *, epoch: int = 5, no_vote: bool = False) -> tuple[int, MemoryFiles]:
    """The least epoch of a start with these nodes, and the files of the node afterwards."""
    await world.prepare()
    files, paths = MemoryFiles(), Paths()
    files.make_dirs(paths.data)
    files.write(paths.node_settings, msgspec.json.encode(SETTINGS))
    if no_vote:
        files.write(paths.no_vote, b"")

    class Caller:
        async def call(self, address: Address, call: Any) -> Any:
            return world.nodes[address.name].answer(call, 0)

    store = await MemoryStore.open(world.disk)
    try:
        await store.commit(Txn(put={"epoch": str(epoch).encode()}))
        return await least_epoch(store, Caller(), SETTINGS, files=files, paths=paths, within_s=0.1), files
    finally:
        await store.close()


async def test_nodes_that_obey_it_let_it_go_on_above_what_they_have_seen() -> None:
    world = World(members=3)
    world.nodes[NAMES[2]].epoch = 8
    assert (await asked(world))[0] == 8


async def test_half_of_the_nodes_are_enough_when_nobody_knows_of_another() -> None:
    world = World(members=3)
    world.nodes[NAMES[2]].silent = True
    assert (await asked(world))[0] == 5
    world = World(members=2)
    world.nodes[NAMES[1]].silent = True
    assert (await asked(world))[0] == 5


async def test_a_cluster_of_one_asks_nobody() -> None:
    world = World(members=1)
    world.nodes[NAMES[0]].silent = True
    assert (await asked(world))[0] == 5


async def test_it_does_not_start_when_another_is_the_master() -> None:
    for silent in ([], [NAMES[2]]):
        world = World(members=3)
        for name in NAMES[1:]:
            world.nodes[name].epoch, world.nodes[name].master_name = 1001, NAMES[1]
            world.nodes[name].silent = name in silent
        with pytest.raises(daemon.CannotStart, match=r"is node2\.example\.com now") as caught:
            await asked(world)
        assert caught.value.status == daemon.EXIT_NOT_MASTER


async def test_a_failover_that_one_node_alone_obeys_is_won_back() -> None:
    world = World(members=3)
    world.nodes[NAMES[2]].epoch, world.nodes[NAMES[2]].master_name = 1000, NAMES[2]
    assert (await asked(world))[0] == 1000


async def test_it_does_not_start_alone_unless_the_operator_wants_it_once() -> None:
    world = World(members=3)
    world.nodes[NAMES[1]].silent = world.nodes[NAMES[2]].silent = True
    with pytest.raises(daemon.CannotStart, match="only 1 of 3 nodes answer, and 2 must"):
        await asked(world)
    world.disk = type(world.disk)()
    epoch, files = await asked(world, no_vote=True)
    assert epoch == 5
    assert not files.exists(Paths().no_vote)

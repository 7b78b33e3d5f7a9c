"""Candidates have what was committed; those that do not keep up hold nobody up; a newer master ends an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ganeti.contract.operation import Change
from ganeti.master import election
from ganeti.master.master import Master
from ganeti.master.state import Deposed
from ganeti.model.objects import changed
from tests.unit.membership.world import NAMES, World

LIMIT_S = 20.0


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():
            await asyncio.sleep(0.01)


async def tag(master: Master, word: str) -> None:
    """Some commit."""
    cluster = master.state.picture.cluster
    await master.state.commit(Change(put=(changed(cluster, 1.0, tags=(word,)),)))


async def settled(world: World, master: Master) -> None:
    """All candidates keep up."""
    assert master.replication is not None
    replication = master.replication
    await until(lambda: len(replication.peers) == world.members - 1 and not replication.lagging())


async def test_what_is_acknowledged_is_on_every_candidate() -> None:
    world = World(members=3)
    await world.prepare()
    async with world.master() as master:
        await settled(world, master)
        for number in range(20):
            await tag(master, f"t{number}")
            for name in NAMES[1:]:
                assert f'"t{number}"'.encode() in world.nodes[name].values["cluster"]
        snapshot = await master.ports.store.read("")
        for name in NAMES[1:]:
            assert world.nodes[name].values == {key: entry.value for key, entry in snapshot.entries.items()}
            assert world.nodes[name].revision == snapshot.revision
            assert world.nodes[name].snapshots == 1


async def test_a_silent_candidate_is_left_behind_shown_and_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganeti.master.replicate.BEAT_S", 0.05)
    world = World(members=3)
    await world.prepare()
    async with world.master() as master:
        await settled(world, master)
        world.nodes[NAMES[2]].silent = True
        await tag(master, "while it sleeps")
        assert master.replication is not None
        await until(lambda: list(master.replication.lagging()) == [NAMES[2]])  # type: ignore[union-attr]
        assert master.bench.view().lagging.keys() == {NAMES[2]}
        world.nodes[NAMES[2]].silent = False
        await settled(world, master)
        assert b"while it sleeps" in world.nodes[NAMES[2]].values["cluster"]
        assert world.nodes[NAMES[2]].snapshots == 1, "only what it missed was sent"


async def test_a_copy_with_another_history_is_replaced_as_a_whole() -> None:
    world = World(members=2)
    await world.prepare()
    other = world.nodes[NAMES[1]]
    other.values, other.revision = {"lineage": b"of another master", "instance/ghost": b"{}"}, 500  # type: ignore[assignment]
    async with world.master() as master:
        await settled(world, master)
        assert "instance/ghost" not in other.values
        assert other.snapshots == 1


async def test_a_restarted_master_sends_only_what_is_new() -> None:
    world = World(members=2)
    await world.prepare()
    async with world.master() as master:
        await settled(world, master)
        await tag(master, "before")
    async with world.master() as master:
        await settled(world, master)
        await tag(master, "after")
    assert world.nodes[NAMES[1]].snapshots == 1
    assert b'"after"' in world.nodes[NAMES[1]].values["cluster"]


async def test_a_master_that_most_nodes_have_left_ends_and_acknowledges_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ganeti.master.replicate.BEAT_S", 0.05)
    world = World(members=3)
    await world.prepare()
    acknowledged = False

    async def be_superseded() -> None:
        nonlocal acknowledged
        async with world.master() as master, asyncio.timeout(LIMIT_S):
            await settled(world, master)
            for name in NAMES[1:]:
                world.nodes[name].epoch, world.nodes[name].master_name = 1000, NAMES[1]
            await tag(master, "too late")
            acknowledged = True

    with pytest.raises(BaseExceptionGroup) as caught:
        await be_superseded()
    assert not acknowledged
    assert caught.value.subgroup(Deposed) is not None


async def test_one_node_that_obeys_an_unfinished_failover_does_not_end_the_master(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ganeti.master.replicate.BEAT_S", 0.05)
    world = World(members=3)
    await world.prepare()
    async with world.master() as master:
        await settled(world, master)
        world.nodes[NAMES[2]].epoch, world.nodes[NAMES[2]].master_name = 1000, NAMES[2]
        async with asyncio.timeout(LIMIT_S):
            await tag(master, "still here")
        assert not master.state.deposed.is_set()
    async with world.master(least_epoch=1000) as master:  # a restart wins it back
        await settled(world, master)
        assert world.nodes[NAMES[2]].epoch == 1001


async def test_nodes_are_told_who_may_call_and_candidates_get_the_key() -> None:
    world = World(members=3)
    await world.prepare()
    async with world.master() as master:
        nodes = world.nodes
        await until(lambda: all(node.settings for node in nodes.values()))
        assert nodes[NAMES[2]].settings[-1].callers == ("1" * 64, "2" * 64, "3" * 64)
        assert nodes[NAMES[2]].settings[-1].authority_key == "the key"
        node = master.state.picture.node(NAMES[2])
        nodes[NAMES[1]].silent = True
        await master.state.commit(Change(put=(changed(node, 1.0, master_candidate=False),)))
        await until(lambda: nodes[NAMES[2]].settings[-1].callers == ("1" * 64, "2" * 64))
        assert nodes[NAMES[2]].settings[-1].authority_key == ""
        assert nodes[NAMES[2]].settings[-1].ssconf["master_candidates"] == f"{NAMES[0]}\n{NAMES[1]}\n"


def test_a_failover_and_a_start_of_the_old_master_cannot_both_miss_one_another() -> None:
    for nodes in range(1, 12):
        assert election.claims_needed(nodes) + election.answers_needed(nodes) > nodes


def test_the_epoch_of_a_failover_is_one_that_restarts_do_not_reach() -> None:
    assert election.next_epoch(0) == 1000
    assert election.next_epoch(7) == 1000
    assert election.next_epoch(1000) == 2000
    assert election.next_epoch(1001) == 2000

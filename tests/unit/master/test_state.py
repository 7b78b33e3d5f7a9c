"""The picture follows the commits, and no commit loses what another one wrote."""

from __future__ import annotations

import asyncio

import pytest

from ganeti.base.errors import Unavailable
from ganeti.contract.operation import Change
from ganeti.master.state import Overwritten
from ganeti.model.objects import changed
from ganeti.store.memory import Refusal
from tests.unit.master.desk import GROUP, Desk


async def test_a_change_that_is_tried_again_does_not_lose_what_was_committed_between_its_tries(desk: Desk) -> None:
    async with desk.at_work(), asyncio.TaskGroup() as group:
        desk.faults.script(Refusal())

        async def change() -> None:
            with pytest.raises(Unavailable, match="somebody else"):
                await desk.state.commit_at_last(desk.cluster_with(candidate_pool_size=3), within_s=60.0)

        late = group.create_task(change())
        await asyncio.sleep(0)  # it asks first, and is refused
        await desk.state.commit(desk.cluster_with(drained=True))
        await late
        assert desk.state.picture.cluster.drained
        assert desk.state.picture.cluster.candidate_pool_size == 10


async def test_the_picture_shows_all_of_many_commits_at_once(desk: Desk) -> None:
    async with desk.at_work():
        group = changed(desk.state.picture.groups[GROUP], 0.0, tags=("a",))
        async with asyncio.TaskGroup() as at_once:
            _ = at_once.create_task(desk.state.commit(desk.cluster_with(drained=True)))
            _ = at_once.create_task(desk.state.commit(Change(put=(group,))))
        assert desk.state.picture.cluster.drained
        assert desk.state.picture.groups[GROUP].tags == ("a",)
        assert desk.state.picture.revision == desk.disk.revision


async def test_a_key_that_somebody_else_wrote_is_not_written_over(desk: Desk) -> None:
    async with desk.at_work():
        desk.put(desk.cluster(candidate_pool_size=4))
        with pytest.raises(Overwritten, match="somebody else wrote cluster"):
            await desk.state.commit(desk.cluster_with(drained=True))

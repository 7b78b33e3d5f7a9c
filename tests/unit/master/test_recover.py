"""The next master settles whatever the last one left, in the words of another version too."""

from __future__ import annotations

import json

import msgspec

from ganeti.base.errors import Unavailable
from ganeti.contract.operation import Context
from ganeti.master.jobs.records import job_key, undo_key
from ganeti.model.jobs import Job, JobId, OpState
from tests.unit.master.desk import NODE, Desk, Gate, Probe, deed_call, probe


def stored(desk: Desk, *ops: OpState, job: int = 7) -> JobId:
    """A job that an earlier master left in the store."""
    made = Job(id=JobId(job), ops=ops, received_timestamp=0.0)
    desk.disk.apply({job_key(made.id): msgspec.json.encode(made)})
    return made.id


async def test_a_job_with_an_operation_that_this_version_does_not_know_ends(desk: Desk) -> None:
    job = stored(desk, OpState(input=probe()), OpState(input={"OP_ID": "OP_OF_TOMORROW"}))
    async with desk.at_work():
        ended = await desk.ended(job)
        assert ended.status == "error"
        assert "OP_OF_TOMORROW" in ended.ops[0].result[1][0]


async def test_a_job_with_a_parameter_that_this_version_does_not_know_ends(desk: Desk) -> None:
    job = stored(desk, OpState(input={**probe(), "of_tomorrow": 1}))
    async with desk.at_work():
        assert "of_tomorrow" in (await desk.ended(job)).ops[0].result[1][0]


async def test_a_reversal_that_this_version_cannot_read_stays_as_a_debt(desk: Desk) -> None:
    job = stored(desk, OpState(input=probe(), status="running"))
    owed = {"node": NODE, "job": 7, "call": {"call": "thing.of_tomorrow"}}
    desk.disk.apply({undo_key(job, 1): json.dumps(owed).encode()})
    async with desk.at_work():
        ended = await desk.ended(job)
        assert ended.status == "error"
        assert any("could not be done yet" in entry.text for entry in ended.ops[0].log)
        assert desk.bench.view().debts == {NODE: 1}
    async with desk.at_work():
        assert desk.bench.view().debts == {NODE: 1}


async def test_a_job_that_was_running_is_undone_and_one_that_waited_goes_on(desk: Desk, operation: Probe) -> None:
    gate = Gate()

    async def deed(ctx: Context) -> None:
        await ctx.undo.later((NODE, deed_call(7.0)))
        await gate(ctx)

    operation.deeds["deed"] = deed
    async with desk.at_work():
        running = await desk.submit(probe("deed", locks=["a"]))
        await gate.reached.wait()
        waiting = await desk.submit(probe(locks=["a"]))
    assert desk.caller.calls == []
    async with desk.at_work():
        assert (await desk.ended(running)).status == "error"
        assert desk.caller.calls == [deed_call(7.0)]
        assert (await desk.ended(waiting)).status == "success"


async def test_what_a_silent_node_owes_is_paid_before_it_is_given_anything_new(desk: Desk, operation: Probe) -> None:
    async def deed(ctx: Context) -> None:
        await ctx.undo.later((NODE, deed_call(1.0)), (NODE, deed_call(2.0)))
        await ctx.call(NODE, deed_call(3.0))

    operation.deeds["deed"] = deed
    desk.caller.error = Unavailable("node1 is silent")
    async with desk.at_work():
        assert (await desk.run(probe("deed"))).status == "error"
        assert desk.bench.view().debts == {NODE: 2}
        desk.caller.error = None
        desk.caller.calls.clear()
        await desk.nodes.call(NODE, deed_call(4.0))
        assert desk.caller.calls == [deed_call(2.0), deed_call(1.0), deed_call(4.0)]
        assert desk.bench.view().debts == {}
    assert not [key for key in desk.disk.entries if key.startswith(("undo/", "debt/"))]


async def test_secrets_that_were_never_stored_end_a_job_that_needs_them(desk: Desk, operation: Probe) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work():
        await desk.submit(probe("wait", locks=["a"]))
        await gate.reached.wait()
        waiting = await desk.submit(probe(locks=["a"], secret={"root": "xyzzy"}))
    async with desk.at_work():
        ended = await desk.ended(waiting)
        assert ended.status == "error"
        assert "secret parameters" in ended.ops[0].result[1][0]

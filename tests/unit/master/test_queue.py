"""Every job that is accepted has an end, whatever happens to it on its way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ganeti.base.errors import Bug, Failed, GanetiError, Refused, Unavailable
from ganeti.contract.operation import Context, Outcome
from ganeti.model.jobs import JobId
from ganeti.ops import load as load_operations
from ganeti.store.memory import Refusal
from tests.unit.master.desk import LIMIT_S, NODE, Desk, Gate, Probe, ProbeParams, deed_call, probe


def error_of(result: Any) -> str:
    """The sentence of an error as a job has it."""
    return str(result[1][0])


# -- operations that break -----------------------------------------------------------------------------


async def test_an_operation_that_breaks_while_its_locks_are_computed_ends_its_job_alone(
    desk: Desk, operation: Probe
) -> None:
    def breaks(params: ProbeParams) -> None:
        if params.does == "broken":
            raise KeyError("no such node")

    operation.on_locks = breaks
    async with desk.at_work() as queue:
        first, second = await queue.submit([[probe("broken")], [probe()]])
        assert isinstance(first, int)
        assert isinstance(second, int)
        assert "no such node" in error_of((await desk.ended(first)).ops[0].result)
        assert (await desk.ended(second)).status == "success"


async def test_an_operation_that_breaks_when_its_locks_are_granted_gives_them_back(
    desk: Desk, operation: Probe
) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work():
        holder = await desk.submit(probe("wait", locks=["a"]))
        await gate.reached.wait()
        waiter = await desk.submit(probe(locks=["a"]))

        def breaks(params: ProbeParams) -> None:
            raise ValueError("gone meanwhile")

        operation.on_locks = breaks
        gate.opened.set()
        assert (await desk.ended(holder)).status == "success"
        assert "gone meanwhile" in error_of((await desk.ended(waiter)).ops[0].result)
        operation.on_locks = lambda params: None
        assert (await desk.run(probe(locks=["a"]))).status == "success"


async def test_a_job_whose_operation_breaks_at_once_does_not_keep_the_next_master_from_its_work(
    desk: Desk, operation: Probe
) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work():
        await desk.submit(probe("wait", locks=["a"]))
        await gate.reached.wait()
        waiter = await desk.submit(probe(locks=["a"]))

    def breaks(params: ProbeParams) -> None:
        raise Bug("an invariant of the operation")

    operation.on_locks = breaks
    async with desk.at_work():
        assert (await desk.ended(waiter)).status == "error"


async def test_a_bug_in_a_plan_ends_the_job_and_not_the_master(desk: Desk, operation: Probe) -> None:
    def breaks(params: ProbeParams) -> None:
        raise Bug("a plan that cannot be")

    async with desk.at_work():
        operation.on_plan = breaks
        assert "a plan that cannot be" in error_of((await desk.run(probe())).ops[0].result)
        operation.on_plan = lambda params: None
        assert (await desk.run(probe())).status == "success"


async def test_a_bug_of_a_node_is_a_failed_deed(desk: Desk, operation: Probe) -> None:
    async def calls(ctx: Context) -> None:
        await ctx.call(NODE, deed_call())

    operation.deeds["call"] = calls
    desk.caller.error = Bug("node1 failed in a way nobody foresaw", node="node1")
    async with desk.at_work():
        assert "nobody foresaw" in error_of((await desk.run(probe("call"))).ops[0].result)
        answers = await desk.nodes.call_each({NODE: deed_call()})
        assert isinstance(answers[NODE], Failed)


async def test_an_error_with_facts_of_any_kind_can_be_stored(desk: Desk, operation: Probe) -> None:
    async def fails(ctx: Context) -> None:
        raise Failed("it went wrong", argv=["a", object()], where={1: {"deep": object()}})

    operation.deeds["fail"] = fails
    async with desk.at_work():
        job = await desk.run(probe("fail"))
        assert error_of(job.ops[0].result) == "it went wrong"
        assert "deep" in job.ops[0].result[2]["where"]["1"]


# -- accepting -----------------------------------------------------------------------------------------


async def test_jobs_submitted_by_a_job_that_is_killed_meanwhile_run_all_the_same(desk: Desk, operation: Probe) -> None:
    submitting = asyncio.Event()
    children: list[JobId] = []

    async def submits(ctx: Context) -> None:
        submitting.set()
        await ctx.submit([[probe()], [probe()]])

    operation.deeds["submit"] = submits
    async with desk.at_work() as queue:
        parent = await desk.submit(probe("submit"))
        await submitting.wait()
        await queue.cancel(parent, kill=True)
        assert (await desk.ended(parent)).status == "canceled"
        children += [JobId(parent + 1), JobId(parent + 2)]
        for child in children:
            assert (await desk.ended(child)).status == "success"


async def test_jobs_that_the_store_did_not_take_are_forgotten(desk: Desk) -> None:
    async with desk.at_work() as queue:
        desk.faults.script(Refusal())
        with pytest.raises(Unavailable):
            await queue.submit([[probe()]])
        assert queue.jobs == {}
        assert (await desk.run(probe())).status == "success"


async def test_one_request_cannot_submit_more_jobs_than_the_queue_holds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganeti.master.jobs.queue.MOST_UNFINISHED", 3)
    async with desk.at_work() as queue:
        answers = await queue.submit([[probe()] for _ in range(5)])
        assert [isinstance(answer, Refused) for answer in answers] == [False, False, False, True, True]
        for answer in answers[:3]:
            assert isinstance(answer, int)
            await desk.ended(answer)
        assert (await desk.run(probe())).status == "success"


async def test_a_priority_out_of_range_is_refused(desk: Desk) -> None:
    async with desk.at_work():
        with pytest.raises(Refused, match="between -20 and 19"):
            await desk.submit(probe(priority=-1000))


async def test_secrets_are_given_to_the_operation_and_never_written(desk: Desk, operation: Probe) -> None:
    seen: list[Any] = []
    operation.on_plan = lambda params: seen.append(params.secret)
    async with desk.at_work():
        job = await desk.run(probe(secret={"root": "xyzzy"}))
        assert seen == [{"root": "xyzzy"}]
        assert job.ops[0].input["secret"] == {"root": "<redacted>"}
    assert not any(b"xyzzy" in entry.value for entry in desk.disk.entries.values())


async def test_secrets_in_a_request_for_many_instances_are_refused_before_anything_is_stored(desk: Desk) -> None:
    load_operations()
    wanted = {
        "OP_ID": "OP_INSTANCE_MULTI_ALLOC",
        "instances": [{"instance_name": "a", "osparams_secret": {"p": "xyzzy"}}],
    }
    async with desk.at_work():
        with pytest.raises(Refused, match="secret OS parameters"):
            await desk.submit(wanted)
    assert not [key for key in desk.disk.entries if key.startswith("job/")]


# -- dependencies --------------------------------------------------------------------------------------


async def test_a_job_cannot_depend_on_itself(desk: Desk) -> None:
    async with desk.at_work() as queue:
        last = await desk.submit(probe())
        (answer,) = await queue.submit([[probe(depends=[[last + 1, []]])]])
        assert isinstance(answer, Refused)


@pytest.mark.parametrize("wanted, status", [("success", "error"), ("error", "success"), (None, "success")])
async def test_what_an_archived_job_ended_with_still_counts_for_who_depends_on_it(
    desk: Desk, operation: Probe, wanted: str | None, status: str
) -> None:
    async def fails(ctx: Context) -> None:
        raise Failed("so it shall be")

    operation.deeds["fail"] = fails
    async with desk.at_work() as queue:
        first = await desk.submit(probe("fail"))
        await desk.ended(first)
        assert await queue.archive([first]) == 1
        assert (await desk.run(probe(depends=[[first, [wanted] if wanted else []]]))).status == status


async def test_a_dependency_that_nobody_knows_any_more_is_an_error(desk: Desk) -> None:
    async with desk.at_work() as queue:
        first = await desk.submit(probe())
        await desk.ended(first)
        await queue.archive([first])
        desk.archive.jobs.clear()
        job = await desk.run(probe(depends=[[first, []]]))
        assert "not known" in error_of(job.ops[0].result)


async def test_a_job_can_be_cancelled_while_it_waits_for_another(desk: Desk, operation: Probe) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work() as queue:
        first = await desk.submit(probe("wait"))
        await gate.reached.wait()
        second = await desk.submit(probe(depends=[[first, []]]))
        third = await desk.submit(probe(depends=[[second, ["success"]]]))
        assert (await queue.cancel(second))[0]
        assert (await desk.ended(third)).status == "canceled"
        gate.opened.set()
        assert (await desk.ended(first)).status == "success"
        assert operation.ran == [first]


# -- cancelling ----------------------------------------------------------------------------------------


async def test_a_job_killed_between_its_grant_and_its_first_step_ends_and_frees_its_locks(
    desk: Desk, operation: Probe
) -> None:
    async with desk.at_work() as queue:
        job = await desk.submit(probe(locks=["a"]))
        tracked = queue.jobs[job]
        await desk.until(lambda: tracked.job.status == "running")
        assert tracked.task is None
        assert (await queue.cancel(job, kill=True))[0]
        assert (await desk.ended(job)).status == "canceled"
        assert operation.ran == []
        assert (await desk.run(probe(locks=["a"]))).status == "success"


async def test_a_running_job_is_cancelled_only_by_a_kill_which_undoes_its_deeds(desk: Desk, operation: Probe) -> None:
    gate = Gate()

    async def deed(ctx: Context) -> None:
        await ctx.undo.later((NODE, deed_call(7.0)))
        await gate(ctx)

    operation.deeds["deed"] = deed
    async with desk.at_work() as queue:
        job = await desk.submit(probe("deed"), probe())
        await gate.reached.wait()
        ok, sentence = await queue.cancel(job)
        assert not ok
        assert "--kill" in sentence
        assert (await queue.cancel(job, kill=True))[0]
        ended = await desk.ended(job)
        assert [op.status for op in ended.ops] == ["canceled", "canceled"]
        assert desk.caller.calls == [deed_call(7.0)]
        assert not [key for key in desk.disk.entries if key.startswith("undo/")]


async def test_the_second_operation_can_be_cancelled_while_it_waits_for_its_locks(desk: Desk, operation: Probe) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work() as queue:
        holder = await desk.submit(probe("wait", locks=["a"]))
        await gate.reached.wait()
        job = await desk.submit(probe(), probe(locks=["a"]))
        await desk.until(lambda: [op.status for op in queue.jobs[job].job.ops] == ["success", "waiting"])
        assert (await queue.cancel(job))[0]
        assert [op.status for op in (await desk.ended(job)).ops] == ["success", "canceled"]
        gate.opened.set()
        await desk.ended(holder)


# -- limits, watchers ----------------------------------------------------------------------------------


async def test_a_new_limit_of_running_jobs_counts_from_the_end_of_the_job_that_set_it(
    desk: Desk, operation: Probe
) -> None:
    gates = {name: Gate() for name in ("one", "two")}
    operation.deeds |= gates

    async def widens(ctx: Context) -> Outcome:
        return Outcome(change=desk.cluster_with(max_running_jobs=2))

    operation.deeds["widen"] = widens
    desk.put(desk.cluster(max_running_jobs=1))
    async with desk.at_work():
        assert (await desk.run(probe("widen"))).status == "success"
        jobs = [await desk.submit(probe(name)) for name in gates]
        async with asyncio.timeout(LIMIT_S):
            for gate in gates.values():
                await gate.reached.wait()
        for gate in gates.values():
            gate.opened.set()
        for job in jobs:
            await desk.ended(job)


async def test_who_waited_in_vain_for_news_leaves_nothing_behind(desk: Desk, operation: Probe) -> None:
    gate = operation.deeds["wait"] = Gate()
    async with desk.at_work() as queue:
        job = await desk.submit(probe("wait"))
        await gate.reached.wait()
        for _ in range(3):
            await queue.news(job, status="running", log_serial=0, timeout_s=0.001)
        assert queue.jobs[job].watchers == []
        gate.opened.set()
        await desk.ended(job)


async def test_ten_thousand_jobs_at_once_all_end(desk: Desk) -> None:
    async with desk.at_work() as queue:
        answers = await queue.submit([[probe(locks=[f"name{n % 50}"])] for n in range(10_000)])
        assert not any(isinstance(answer, GanetiError) for answer in answers)
        last = answers[-1]
        assert isinstance(last, int)
        await desk.until(lambda: all(t.job.status == "success" for t in list(queue.jobs.values())[-50:]))
        assert (await desk.ended(last)).status == "success"

"""One operation of one job, from the grant of its locks to its final commit: survey, plan, run, commit or undo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from ganeti.base.clock import Clock
from ganeti.base.errors import Failed, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.base.log import Log
from ganeti.contract.calls import Call
from ganeti.contract.operation import REGISTRY, Change, Context, Outcome, Plan
from ganeti.contract.storage import Addressing
from ganeti.contract.view import View
from ganeti.contract.wire import Address
from ganeti.master.jobs.hooks import OperationHooks
from ganeti.master.jobs.journal import Journal, debt_key
from ganeti.master.jobs.records import Tracked, error_result, record
from ganeti.master.nodes import Nodes
from ganeti.master.reservations import Reservations
from ganeti.master.state import Deposed, Overwritten, State, encode
from ganeti.model.jobs import Job, JobId, Status
from ganeti.model.objects import Uuid
from ganeti.model.traits import Catalog

log = Log(__name__)

R = TypeVar("R")

STORE_PATIENCE_S: Final = 300.0
"""How long the end of an operation waits for a store that is down."""


class Submitter(Protocol):
    """Takes further jobs (the queue)."""

    async def submit_all(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[JobId]:
        """Accept all, or raise the first refusal."""
        ...


class Bench:
    """What every execution shares: the things an operation works with."""

    def __init__(
        self,
        *,
        state: State,
        nodes: Nodes,
        clock: Clock,
        ids: Ids,
        catalog: Catalog,
        addressing: dict[str, Addressing],
    ) -> None:
        self.state = state
        self.nodes = nodes
        self.clock = clock
        self.ids = ids
        self.catalog = catalog
        self.addressing = addressing
        self.reservations = Reservations()
        self.lagging: Callable[[], dict[str, str]] = dict
        """Which master candidates' copies of the store are behind, and why; set by the master that makes copies."""

    def view(self, job: int = 0) -> View:
        """The cluster now, as that job must see it."""
        return View(
            picture=self.state.picture,
            catalog=self.catalog,
            addressing=self.addressing,
            reserved=self.reservations.seen_by(job),
            now_s=self.clock.now_s(),
            lagging=self.lagging(),
            debts={node: len(owed) for node, owed in self.nodes.debts.items()},
        )


class Execution:
    """The context of one operation (`contract.operation.Context`), and its course."""

    def __init__(self, bench: Bench, tracked: Tracked, index: int, submitter: Submitter) -> None:
        self._bench = bench
        self._tracked = tracked
        self._index = index
        self._submitter = submitter
        self._journal = Journal(bench.state, bench.nodes, tracked)
        self._hooks: OperationHooks | None = None

    # -- what an operation sees ------------------------------------------------------------------

    @property
    def view(self) -> View:
        """See `Asker.view`."""
        return self._bench.view(self._tracked.job.id)

    @property
    def job(self) -> JobId:
        """See `Context.job`."""
        return self._tracked.job.id

    @property
    def clock(self) -> Clock:
        """See `Context.clock`."""
        return self._bench.clock

    @property
    def ids(self) -> Ids:
        """See `Context.ids`."""
        return self._bench.ids

    @property
    def undo(self) -> Journal:
        """See `Context.undo`."""
        return self._journal

    async def call(self, node: Uuid, call: Call[R]) -> R:
        """See `Asker.call`."""
        await self._mark_running(call)
        return await self._bench.nodes.call(node, call)

    async def call_each(self, calls: Mapping[Uuid, Call[R]]) -> dict[Uuid, R | Unavailable | Failed]:
        """See `Asker.call_each`."""
        for call in calls.values():
            await self._mark_running(call)
        return await self._bench.nodes.call_each(calls)

    async def call_at(self, address: Address, call: Call[R]) -> R:
        """See `Asker.call_at`."""
        await self._mark_running(call)
        return await self._bench.nodes.call_at(address, call)

    def say(self, text: str) -> None:
        """See `Context.say`."""
        self._tracked.add_log(self._index, self.clock.now_s(), "message", text)

    def warn(self, text: str) -> None:
        """See `Context.warn`."""
        self._tracked.add_log(self._index, self.clock.now_s(), "warning", text)

    async def commit(self, change: Change, *, then: Sequence[tuple[Uuid, Call[Any]]] = ()) -> None:
        """See `Context.commit`."""
        self._tracked.marked_running = True
        dropped = list(self._tracked.undo)
        entries = self._journal.entries(then)
        self._tracked.undo |= entries  # noted first, as in the journal
        written = {key: encode(owed) for key, owed in entries.items()}
        await self._bench.state.commit(change, put=written | self._tracked.encoded(), delete=dropped)
        self._forget_undo(dropped)

    async def submit(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[JobId]:
        """See `Context.submit`."""
        return await self._submitter.submit_all(jobs)

    # -- its course ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry the operation to its end and commit how it ended. Raises only what ends the daemon."""
        try:
            await self._to_its_end()
        finally:
            self._bench.reservations.release(self.job)

    async def _to_its_end(self) -> None:
        try:
            outcome = await self._carry_out()
            ended = await self._commit_success(outcome)
        except (Refused, Unavailable, Failed) as error:
            await self._fail(error)
        except (Overwritten, Deposed):
            raise
        except asyncio.CancelledError:
            if not self._tracked.kill_asked:
                raise
            await self._fail(Failed("killed by request while it ran"), status="canceled")
        except Exception as error:
            # One of the three borders: whatever an operation raises ends that operation, not the daemon. If a bug
            # of an operation did, its job would end every daemon that tries to recover it.
            log.bug("operation broke", error, op=self._tracked.job.ops[self._index].op_id)
            await self._fail(error)
        else:
            self._tracked.become(await self._with_post_hooks(ended, outcome))

    async def _carry_out(self) -> Outcome:
        if self._tracked.kill_asked:
            raise asyncio.CancelledError("killed before it began")
        state = self._tracked.job.ops[self._index]
        params = self._tracked.params(self._index)
        operation = REGISTRY[state.op_id]
        self._bench.reservations.survey_begins(self.job)
        facts = await operation.survey(self, params)
        plan = operation.plan(params, facts, self.view, self.ids)
        self._bench.reservations.take(self.job, plan.reserve)
        if params.dry_run:
            self._explain(plan)
            return Outcome(result=plan.dry_result)
        self._hooks = OperationHooks(operation, params, plan, state.op_id, self.warn)
        await self._hooks.before(self, self.view)
        self._tracked.set_op(self._index, exec_timestamp=self.clock.now_s())
        context: Context = self
        return await operation.run(context, params, plan)

    def _explain(self, plan: Plan) -> None:
        for reason in plan.because:
            self.say(f"because: {reason}")
        for number, step in enumerate(plan.steps, start=1):
            self.say(f"step {number}: {step}")
        self.say("nothing was changed (dry run)")

    async def _commit_success(self, outcome: Outcome) -> Job:
        """Make the success durable; the job as it is then. Nothing is undone after this."""
        self._tracked.ending = True
        dropped = list(self._tracked.undo)
        ended = self._tracked.ended(self._index, "success", outcome.result, self.clock.now_s())
        debts = {debt_key(owed.node, key): owed for key, owed in self._journal.entries(outcome.owed).items()}
        written = {key: encode(owed) for key, owed in debts.items()} | record(ended)
        # What was done is worth some patience: to undo it, or to leave it half-done, is worse than a store that is slow.
        await self._bench.state.commit_at_last(outcome.change, put=written, delete=dropped, within_s=STORE_PATIENCE_S)
        for key, owed in debts.items():
            self._bench.nodes.owe(key, owed)
        self._forget_undo(dropped)
        return ended

    async def _with_post_hooks(self, ended: Job, outcome: Outcome) -> Job:
        """Run the hooks after the commit; the job with what they said. Nobody sees it ended before."""
        if self._hooks is None:
            return ended
        said = self._tracked.log_serial
        try:
            # Not `self`: the store has the end of the operation, and must not be told any more that it runs.
            await self._hooks.after(self._bench.nodes, self.view)
        except Exception as error:
            # Within the border of one operation, which has ended well: what comes after cannot change that.
            log.bug("hooks after the operation broke", error, op=self._tracked.job.ops[self._index].op_id)
            self.warn(f"the hooks after the operation could not be run: {error}")
        if self._tracked.log_serial == said:
            return ended
        ended = self._tracked.ended(self._index, "success", outcome.result, self.clock.now_s())
        await self._bench.state.commit_at_last(put=record(ended))
        return ended

    async def _fail(self, error: BaseException, *, status: Status = "error") -> None:
        self._tracked.ending = True
        if self._tracked.undo:
            self.say("undoing what was done so far")
        trouble = await self._journal.play()
        for sentence in trouble:
            self.warn(sentence)
        ended = self._tracked.ended(self._index, status, error_result(error), self.clock.now_s())
        await self._bench.state.commit_at_last(put=record(ended))
        self._tracked.become(ended)

    async def _mark_running(self, call: Call[Any]) -> None:
        """Before the first deed the store says that the job runs, so that its recovery is decided by its operation."""
        if call.only_reads or self._tracked.marked_running:
            return
        self._tracked.marked_running = True
        await self._bench.state.commit(put=self._tracked.encoded())

    def _forget_undo(self, keys: list[str]) -> None:
        for key in keys:
            self._tracked.undo.pop(key, None)

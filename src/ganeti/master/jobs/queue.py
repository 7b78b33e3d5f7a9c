"""The queue: jobs are accepted durably, wait for dependencies and locks without costing anything, run, and end.

A waiting job is an entry in the lock table, not a task: thousands cost memory only. Locks of an operation are
taken all at once, and computed anew when granted, because the cluster may have changed while it waited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.log import JOB, Log
from ganeti.base.tasks import Scope
from ganeti.contract.operation import REGISTRY, Locks
from ganeti.locks.manager import LockManager
from ganeti.master.jobs.execute import Bench, Execution
from ganeti.master.jobs.records import SERIAL_KEY, Tracked, error_result, job_key, new_op, record
from ganeti.master.state import encode
from ganeti.model.jobs import FINAL, PRIORITY_HIGHEST, PRIORITY_LOWEST, Job, JobId, OpState, Status

log = Log(__name__)

MOST_UNFINISHED: Final = 20_000
CLUSTER_LOCK: Final = "cluster"


class Archive(Protocol):
    """Where ended jobs go (`ganeti.store.archive`)."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Keep these; doing it twice is fine."""
        ...

    async def get(self, id: JobId) -> Job | None:
        """One archived job."""
        ...


class Queue:
    """All jobs that are not archived."""

    def __init__(self, bench: Bench, locks: LockManager, archive: Archive, scope: Scope) -> None:
        self._bench = bench
        self._locks = locks
        self._archive = archive
        self._scope = scope
        self._last_id = 0
        self._dependents: dict[JobId, dict[JobId, None]] = {}
        self._granted: dict[JobId, Locks] = {}
        self._unfinished = 0
        self._archiving = asyncio.Lock()
        self._closed = False
        self.jobs: dict[JobId, Tracked] = {}

    # -- accepting -------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[JobId | GanetiError]:
        """Accept each job or say why not. An id that is returned is on disk: the job will have an end."""
        now_s = self._bench.clock.now_s()
        answers: list[JobId | GanetiError] = []
        accepted: list[Tracked] = []
        for position, ops in enumerate(jobs):
            try:
                if self._unfinished + len(accepted) >= MOST_UNFINISHED:
                    raise Refused(WRONG_STATE, f"the job queue is full: {MOST_UNFINISHED} jobs have not ended")
                tracked = self._new_job(ops, position, answers, now_s)
            except Refused as refusal:
                answers.append(refusal)
            else:
                accepted.append(tracked)
                answers.append(tracked.job.id)
        if accepted:
            records: dict[str, bytes] = {}
            for tracked in accepted:
                records |= record(tracked.job)
            self._unfinished += len(accepted)
            try:
                await self._bench.state.commit(put=records)
            finally:
                # Whoever asked may have been killed meanwhile: what the store holds must have an end all the same.
                if self._bench.state.holds(job_key(accepted[0].job.id)):
                    self.jobs |= {tracked.job.id: tracked for tracked in accepted}
                    for tracked in accepted:
                        self._consider(tracked)
                else:
                    self._unfinished -= len(accepted)
        return answers

    async def submit_all(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[JobId]:
        """Accept all, or raise the first refusal (the others are accepted all the same)."""
        ids = []
        for answer in await self.submit(jobs):
            if isinstance(answer, GanetiError):
                raise answer
            ids.append(answer)
        return ids

    def _new_job(
        self, ops: Sequence[Mapping[str, Any]], position: int, before: Sequence[JobId | GanetiError], now_s: float
    ) -> Tracked:
        if not ops:
            raise Refused(WRONG_INPUT, "a job needs at least one operation")
        if self._bench.state.picture.cluster.drained:
            raise Refused(WRONG_STATE, "the job queue is drained; open it with 'gnt-cluster queue undrain'")
        self._last_id += 1
        job = JobId(self._last_id)
        states: list[OpState] = []
        secrets: dict[int, dict[str, Any]] = {}
        try:
            for index, data in enumerate(ops):
                short = str(data.get("OP_ID", "")).removeprefix("OP_").lower()
                reason = (f"gnt:opcode:{short}", f"job={job};index={index}", int(now_s * 1e9))
                state, secret = new_op(dict(data), reason)
                states.append(self._with_absolute_depends(state, position, before))
                if secret:
                    secrets[index] = secret
        except Refused:
            self._last_id -= 1
            raise
        return Tracked(job=Job(id=job, ops=tuple(states), received_timestamp=now_s), secrets=secrets)

    def _with_absolute_depends(self, state: OpState, position: int, before: Sequence[JobId | GanetiError]) -> OpState:
        depends = state.input.get("depends")
        if not depends:
            return state
        absolute = []
        for wanted, statuses in depends:
            target: object = wanted
            if wanted < 0:
                place = position + wanted
                target = before[place] if 0 <= place < len(before) else None
            if not isinstance(target, int):
                raise Refused(WRONG_INPUT, f"dependency {wanted} names no job that was accepted")
            if not 1 <= target < self._last_id:  # which is the id of this very job
                raise Refused(WRONG_INPUT, f"dependency {target} is not a job")
            absolute.append([target, list(statuses)])
        return msgspec.structs.replace(state, input=state.input | {"depends": absolute})

    # -- starting --------------------------------------------------------------------------------

    def adopt(self, tracked: Tracked) -> None:
        """Take over a job that an earlier master left; `start_all` sets them going."""
        self.jobs[tracked.job.id] = tracked
        self._unfinished += tracked.job.status not in FINAL

    def start_all(self, *, last_id: int) -> None:
        """Set every unfinished job going."""
        self._last_id = max([last_id, *self.jobs])
        for tracked in sorted(self.jobs.values(), key=lambda t: t.job.id):
            if tracked.job.status not in FINAL:
                self._consider(tracked)

    def close(self) -> None:
        """Start nothing any more: the master ends, and the next one goes on from what the store holds."""
        self._closed = True

    def _consider(self, tracked: Tracked) -> None:
        """Move a job on from where it stands: to its dependencies, to its locks, or to its end."""
        if self._closed or tracked.ending:
            return
        index = tracked.current
        try:
            if self._depends_hold_back(tracked, index):
                return
            locks = self._locks_of(tracked, index)
        except Exception as error:
            self._end_broken(tracked, error)
            return
        self._request(tracked, locks)

    def _request(self, tracked: Tracked, locks: Locks) -> None:
        job = tracked.job.id
        self._granted[job] = locks
        tracked.set_op(tracked.current, status="waiting", start_timestamp=self._bench.clock.now_s())
        self._locks.request(job, locks, tracked.job.priority, lambda: self._on_grant(tracked))

    def _on_grant(self, tracked: Tracked) -> None:
        if self._closed:
            return
        index = tracked.current
        try:
            locks = self._locks_of(tracked, index)
        except Exception as error:
            self._locks.release(tracked.job.id)
            self._end_broken(tracked, error)
            return
        if locks != self._granted[tracked.job.id]:
            self._locks.release(tracked.job.id)
            self._request(tracked, locks)
            return
        now_s = self._bench.clock.now_s()
        if tracked.job.start_timestamp is None:
            tracked.job = msgspec.structs.replace(tracked.job, start_timestamp=now_s)
        tracked.set_op(index, status="running")
        _ = self._scope.start(self._run(tracked, index), name=f"job {tracked.job.id}")

    async def _run(self, tracked: Tracked, index: int) -> None:
        JOB.set(tracked.job.id)
        tracked.task = asyncio.current_task()
        try:
            await Execution(self._bench, tracked, index, self).run()
        except BaseException:  # the master ends: what waits for these locks must not begin
            self.close()
            raise
        tracked.task, tracked.ending = None, False
        self._granted.pop(tracked.job.id, None)
        # The operation may have been the one that changes it.
        self._locks.change_limit(self._bench.state.picture.cluster.max_running_jobs)
        self._locks.release(tracked.job.id)
        if tracked.job.status in FINAL:
            self._has_ended(tracked)
        else:
            tracked.marked_running = False
            self._consider(tracked)

    def _locks_of(self, tracked: Tracked, index: int) -> Locks:
        params = tracked.params(index)
        wanted = REGISTRY[tracked.job.ops[index].op_id].locks(params, self._bench.view(tracked.job.id))
        if CLUSTER_LOCK in wanted.exclusive:
            return wanted
        return Locks(exclusive=wanted.exclusive, shared=(wanted.shared | {CLUSTER_LOCK}) - wanted.exclusive)

    # -- dependencies ----------------------------------------------------------------------------

    def _depends_hold_back(self, tracked: Tracked, index: int) -> bool:
        for number, statuses in tracked.params(index).depends or ():
            wanted = JobId(number)
            other = self.jobs.get(wanted)
            if other is None and wanted not in tracked.ended_as:
                _ = self._scope.start(self._look_up(tracked, wanted), name=f"job {tracked.job.id} looks up {wanted}")
                return True
            status = other.job.status if other is not None else tracked.ended_as[wanted]
            if status not in FINAL:
                self._dependents.setdefault(wanted, {})[tracked.job.id] = None
                return True
            if statuses and status not in statuses:
                if status == "canceled":
                    self._end_unstarted(tracked, "canceled", Refused(WRONG_STATE, f"job {wanted} was canceled"))
                    return True
                raise Refused(WRONG_STATE, f"it depends on job {wanted}, which ended with {status}")
        return False

    async def _look_up(self, tracked: Tracked, wanted: JobId) -> None:
        """Learn how an archived job ended, for one that depends on it."""
        try:
            found = await self._archive.get(wanted)
            if found is None:
                raise Refused(UNKNOWN, f"it depends on job {wanted}, which is not known (any more)", job=wanted)
        except (Refused, Unavailable, Failed) as error:
            if not tracked.ending:
                self._end_unstarted(tracked, "error", error)
            return
        tracked.ended_as[wanted] = found.status
        self._consider(tracked)

    def _has_ended(self, tracked: Tracked) -> None:
        self._unfinished -= 1
        for dependent in self._dependents.pop(tracked.job.id, {}):
            waiting = self.jobs.get(dependent)
            if waiting is not None and waiting.job.status not in FINAL:
                self._consider(waiting)

    # -- ending without running ------------------------------------------------------------------

    def _end_broken(self, tracked: Tracked, error: Exception) -> None:
        """As when an operation breaks in its course: that ends its job, and neither this daemon nor the next one."""
        if not isinstance(error, Refused):
            log.bug("operation broke before its start", error, job=tracked.job.id)
        self._end_unstarted(tracked, "error", error)

    def _end_unstarted(self, tracked: Tracked, status: Status, error: Exception) -> None:
        tracked.ending = True
        _ = self._scope.start(self._write_end(tracked, status, error), name=f"end job {tracked.job.id}")

    async def _write_end(self, tracked: Tracked, status: Status, error: Exception) -> None:
        ended = tracked.ended(tracked.current, status, error_result(error), self._bench.clock.now_s())
        await self._bench.state.commit_at_last(put=record(ended))
        self._granted.pop(tracked.job.id, None)
        tracked.become(ended)
        self._has_ended(tracked)

    # -- what users do with jobs -----------------------------------------------------------------

    def find(self, job: JobId) -> Tracked:
        """A job of the queue, or `Refused` (unknown_entity)."""
        tracked = self.jobs.get(job)
        if tracked is None:
            raise Refused(UNKNOWN, f"Job {job} not found in queue", job=job)
        return tracked

    async def cancel(self, job: JobId, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job that has not started; a running one only with `kill`, and then its deeds are undone."""
        tracked = self.find(job)
        status = tracked.job.status
        if status in FINAL:
            return False, f"Job {job} has ended already ({status})"
        if tracked.ending:
            return False, f"Job {job} is ending just now"
        if status != "running":
            self._locks.cancel(job)
            tracked.ending = True
            tracked.set_op(tracked.current, status="canceling")
            await self._write_end(tracked, "canceled", Refused(WRONG_STATE, "Job canceled by request"))
            return True, f"Job {job} canceled"
        if not kill:
            return (
                False,
                f"Job {job} is running and can no longer be canceled; end it with --kill, which undoes its deeds",
            )
        if not tracked.kill_asked:
            tracked.kill_asked = True
            # A task that is cancelled before its first step ends without a trace; it looks for itself when it begins.
            if tracked.task is not None:
                tracked.task.cancel()
        return True, f"Job {job} is being ended; what it did is undone"

    async def change_priority(self, job: JobId, priority: int) -> tuple[bool, str]:
        """Give all operations that have not ended another priority."""
        if not PRIORITY_HIGHEST <= priority <= PRIORITY_LOWEST:
            raise Refused(WRONG_INPUT, f"a priority lies between {PRIORITY_HIGHEST} and {PRIORITY_LOWEST}")
        tracked = self.find(job)
        if tracked.job.status in FINAL:
            return False, f"Job {job} has ended already ({tracked.job.status})"
        if tracked.ending:
            return False, f"Job {job} is ending just now"
        for index in range(tracked.current, len(tracked.job.ops)):
            tracked.set_op(index, priority=priority)
        self._locks.change_priority(job, priority)
        await self._bench.state.commit(put=tracked.encoded())
        return True, f"Priority of job {job} changed to {priority}"

    async def archive(self, jobs: Iterable[JobId]) -> int:
        """Move ended jobs out of the store; returns how many were."""
        ended = [self.jobs[job].job for job in jobs if job in self.jobs and self.jobs[job].job.status in FINAL]
        if not ended:
            return 0
        async with self._archiving:
            await self._archive.add(ended)
            for start in range(0, len(ended), 100):
                gone = [job for job in ended[start : start + 100] if self._bench.state.holds(job_key(job.id))]
                # The highest id ever given is known from the jobs in the store, until the highest is taken out.
                last_id = {SERIAL_KEY: encode(self._last_id)}
                await self._bench.state.commit(put=last_id, delete=[job_key(job.id) for job in gone])
                for job in gone:
                    self.jobs.pop(job.id, None)
        return len(ended)

    async def autoarchive(self, age_s: float | None, *, keep: int | None = None) -> tuple[int, int]:
        """Archive what ended longer ago than that (None: all), and all but the latest `keep`; returns (archived, left)."""
        limit_s = self._bench.clock.now_s() - age_s if age_s is not None else float("inf")
        ended = sorted(
            (tracked.job.end_timestamp or 0.0, job) for job, tracked in self.jobs.items() if tracked.job.status in FINAL
        )
        beyond = len(ended) - keep if keep is not None else 0
        old = [job for place, (end_s, job) in enumerate(ended) if end_s <= limit_s or place < beyond]
        return await self.archive(old), len(self.jobs)

    async def news(self, job: JobId, *, status: str | None, log_serial: int, timeout_s: float) -> Tracked:
        """Wait until the job's state differs from `status` or its log went beyond, or the time is over."""
        tracked = self.find(job)
        try:
            async with asyncio.timeout(timeout_s):
                while tracked.job.status == status and tracked.log_serial <= log_serial:
                    if status in FINAL:
                        break
                    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    tracked.watchers.append(waiting)
                    try:
                        await waiting
                    finally:
                        if waiting in tracked.watchers:  # nothing happened: who has gone need not be told any more
                            tracked.watchers.remove(waiting)
        except TimeoutError:
            pass  # no news is an answer too
        return tracked

"""After a master died: undo what its running jobs had begun, then let each job fail or run again, as its operation says."""

from __future__ import annotations

import msgspec

from ganeti.base.errors import Failed
from ganeti.base.log import Log
from ganeti.contract.operation import REGISTRY
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.journal import Journal
from ganeti.master.jobs.queue import Queue
from ganeti.master.jobs.records import (
    JOB_PREFIX,
    SERIAL_KEY,
    UNDO_PREFIX,
    Tracked,
    error_result,
    has_lost_secrets,
    record,
)
from ganeti.master.nodes import Owed
from ganeti.model.jobs import FINAL, Job
from ganeti.model.objects import Uuid

log = Log(__name__)


async def recover(bench: Bench, queue: Queue, *, silent: set[Uuid] | None = None) -> None:
    """Bring every job the store holds to a state from which the queue can go on, and set the queue going.

    Nodes known to be `silent` are not waited for: what they have to undo becomes their debt.
    """
    silent = silent if silent is not None else set()
    entries = bench.state.entries
    last_id = int(entries.pop(SERIAL_KEY).value) if SERIAL_KEY in entries else 0
    undo: dict[int, dict[str, Owed]] = {}
    for key in [key for key in entries if key.startswith(UNDO_PREFIX)]:
        undo.setdefault(int(key.split("/")[1]), {})[key] = msgspec.json.decode(entries.pop(key).value, type=Owed)
    for key in sorted(key for key in entries if key.startswith(JOB_PREFIX)):
        tracked = Tracked(job=msgspec.json.decode(entries.pop(key).value, type=Job))
        tracked.undo = undo.pop(tracked.job.id, {})
        tracked.undo_seq = max((int(key.rpartition("/")[2]) for key in tracked.undo), default=0)
        await _settle(bench, tracked, silent)
        queue.adopt(tracked)
    queue.start_all(last_id=last_id)


async def _settle(bench: Bench, tracked: Tracked, silent: set[Uuid]) -> None:
    if tracked.job.status in FINAL:
        return
    index = tracked.current
    op = tracked.job.ops[index]
    had_begun = op.status in ("running", "canceling") or bool(tracked.undo)
    now_s = bench.clock.now_s()
    if tracked.undo:
        count = len(tracked.undo)
        trouble = await Journal(bench.state, bench.nodes, tracked).play(silent)
        tracked.add_log(index, now_s, "warning", f"the master had ended while this ran; {count} deeds undone")
        for sentence in trouble:
            tracked.add_log(index, now_s, "warning", sentence)
    cause = _why_not_again(tracked, index, had_begun=had_begun)
    if cause is None:
        tracked.set_op(index, status="queued", start_timestamp=None, exec_timestamp=None)
        log.info("job goes on after a restart", job=tracked.job.id, again=had_begun)
        return
    ended = tracked.ended(index, "error", error_result(Failed(cause)), now_s)
    await bench.state.commit_at_last(put=record(ended))
    tracked.become(ended)
    log.info("job ended by a restart", job=tracked.job.id, cause=cause)


def _why_not_again(tracked: Tracked, index: int, *, had_begun: bool) -> str | None:
    op, unfinished = tracked.job.ops[index], tracked.job.ops[index:]
    if unknown := [later.op_id for later in unfinished if later.op_id not in REGISTRY]:
        return f"this version knows no operation {unknown[0]}"
    if had_begun and REGISTRY[op.op_id].recovery == "undo":
        return "the master ended while this ran; what it had begun was undone, submit it again"
    if any(map(has_lost_secrets, unfinished)):
        return "the master ended before this ran, and its secret parameters are never stored; submit it again"
    return None

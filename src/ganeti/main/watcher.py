"""`ganeti-watcher`: run by cron on every node, it makes happen again what should be so and is not.

On every node it starts daemons that do not run. On the master it also starts instances that should run, cleans up
those that their users have shut down, activates disks after a reboot, and archives old jobs. Spec: cli,
"ganeti-watcher". Exit status 0, 1 (failure), 11 (not the master), 12 (in no cluster).
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import msgspec

from ganeti.base.clock import Clock, SystemClock
from ganeti.base.errors import Failed, GanetiError, Refused
from ganeti.base.files import Files, SystemFiles
from ganeti.base.log import Log
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner
from ganeti.base.units import parse_duration_s
from ganeti.client.master import FINAL, Master
from ganeti.client.settings import own_settings
from ganeti.main import logs, own_hooks, watching
from ganeti.main.daemon import EXIT_FAILURE, EXIT_NODE_NOT_SET_UP, EXIT_NOT_MASTER, running_pid
from ganeti.main.daemons import SERVICES, Daemons
from ganeti.main.watching import Decision, InstanceSeen, Memory, NodeSeen

WAIT_WITHIN_S: Final = 1800.0
"""How long a run waits for the jobs it has submitted; those that take longer go on without it."""

_log: Final = Log("ganeti.main.watcher")  # not __name__: that is __main__ when run with -m


class Cluster(Protocol):
    """What a run needs of the master (`ganeti.client.master.Master`)."""

    def watcher_paused_until_s(self) -> float | None:
        """Until when the watcher rests."""
        ...

    def autoarchive(self, age_s: int | None) -> tuple[int, int]:
        """Archive jobs that ended that long ago."""
        ...

    def values(self, what: str, fields: Sequence[str], **selection: Any) -> list[list[Any]]:
        """Rows of bare values."""
        ...

    def submit(self, jobs: Sequence[Sequence[dict[str, Any]]]) -> list[int | GanetiError]:
        """Hand in jobs, all at once."""
        ...

    def news(self, job_id: int) -> Iterator[dict[str, Any]]:
        """What happens to a job, until it has ended."""
        ...


class Round:
    """One run on the master. `group`: only nodes and instances of the group with that UUID or name."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        files: Files,
        clock: Clock,
        memory_path: str,
        job_age_s: int,
        group: str | None = None,
        verify_disks: bool = True,
        wait: bool = True,
    ) -> None:
        self._cluster, self._files, self._clock = cluster, files, clock
        self._memory_path = memory_path
        self._job_age_s = job_age_s
        self._group = group
        self._verify_disks = verify_disks
        self._wait = wait

    def run(self) -> None:
        """Look, decide, do; what is remembered is on disk before anybody waits."""
        archived, left = self._cluster.autoarchive(self._job_age_s)
        if archived:
            _log.info("jobs archived", archived=archived, left=left)
        memory = self._load()
        nodes, instances = self._nodes(), self._instances()
        now_s = self._clock.now_s()
        open_jobs = self._open_jobs([tries.job for tries in memory.tries.values() if tries.job is not None])
        decision = watching.decide(memory, nodes, instances, now_s=now_s, open_jobs=open_jobs)
        self._tell(decision)
        jobs = self._submit(
            [
                (name, _op("OP_INSTANCE_STARTUP", name, "starting an instance that should run", now_s))
                for name in decision.start
            ]
            + [
                (
                    name,
                    _op(
                        "OP_INSTANCE_SHUTDOWN",
                        name,
                        "cleaning up an instance that its user has shut down",
                        now_s,
                        admin_state_source="user",
                    ),
                )
                for name in decision.clean_up
            ]
            + [
                (name, _op("OP_INSTANCE_ACTIVATE_DISKS", name, "activating disks after a reboot", now_s))
                for name in decision.activate
            ]
        )
        started = {name: jobs[name] for name in decision.start}
        self._save(watching.tried(decision.memory, started, now_s))
        if self._wait:
            self._wait_for({job: name for name, job in jobs.items() if job is not None})
            if self._verify_disks:
                self._look_at_disks(busy=jobs.keys())

    def _nodes(self) -> list[NodeSeen]:
        rows = self._cluster.values("node", ["name", "offline", "bootid", "group", "group.uuid"])
        return [
            NodeSeen(name=name, offline=bool(offline), boot_id=boot_id or None)
            for name, offline, boot_id, *groups in rows
            if self._group is None or self._group in groups
        ]

    def _instances(self) -> list[InstanceSeen]:
        fields = ["name", "status", "pnode", "admin_state", "disks_active", "pnode.group", "pnode.group.uuid"]
        return [
            InstanceSeen(
                name=name, status=status, node=node, admin_up=admin_state == "up", disks_active=bool(disks_active)
            )
            for name, status, node, admin_state, disks_active, *groups in self._cluster.values("instance", fields)
            if self._group is None or self._group in groups
        ]

    def _open_jobs(self, jobs: Sequence[int]) -> set[int]:
        if not jobs:
            return set()
        wanted = set(jobs)
        rows = self._cluster.values(
            "job", ["id", "status"], qfilter=["|", *(["=", "id", job] for job in sorted(wanted))]
        )
        return {job for job, status in rows if job in wanted and status not in FINAL}

    def _submit(self, wanted: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, int | None]:
        """One request for all. The job of each name, None where it was not accepted."""
        if not wanted:
            return {}
        jobs: dict[str, int | None] = {}
        for (name, op), answer in zip(wanted, self._cluster.submit([[op] for _, op in wanted]), strict=True):
            if isinstance(answer, GanetiError):
                _log.warning("job not accepted", op=op["OP_ID"], instance=name, cause=answer.message)
                jobs[name] = None
            else:
                _log.info("job submitted", op=op["OP_ID"], instance=name, job=answer)
                jobs[name] = answer
        return jobs

    def _wait_for(self, jobs: Mapping[int, str]) -> dict[int, Any]:
        """Wait for their ends and say how they ended; the results of those that went well."""
        ends_s = self._clock.now_s() + WAIT_WITHIN_S
        results: dict[int, Any] = {}
        for job, name in jobs.items():
            for news in self._cluster.news(job):
                if news["status"] == "success":
                    results[job] = news["op_result"][0]
                    _log.info("job ended well", job=job, name=name)
                elif news["status"] in FINAL:
                    _log.warning("job failed", job=job, name=name, result=news["op_result"][0])
                elif self._clock.now_s() >= ends_s:
                    _log.warning("job not waited for any longer", job=job, name=name, waited_s=WAIT_WITHIN_S)
                    break
        return results

    def _look_at_disks(self, *, busy: Collection[str]) -> None:
        """Activate disks that should be there and are not, but for instances that are being seen to already."""
        groups = [
            name
            for name, uuid in self._cluster.values("group", ["name", "uuid"])
            if self._group is None or self._group in (name, uuid)
        ]
        now_s = self._clock.now_s()
        reason = _reason("verifying disks", now_s)
        verifications = self._cluster.submit(
            [
                [{"OP_ID": "OP_GROUP_VERIFY_DISKS", "group_name": group, "is_strict": False, "reason": reason}]
                for group in groups
            ]
        )
        jobs: dict[int, str] = {}
        for group, answer in zip(groups, verifications, strict=True):
            if isinstance(answer, GanetiError):
                _log.warning("disks not verified", group=group, cause=answer.message)
            else:
                jobs[answer] = group
        broken: list[str] = []
        for nodes, inactive, missing in self._wait_for(jobs).values():
            for node, problem in nodes.items():
                _log.warning("disks of a node not verified", node=node, cause=problem)
            for name, disks in missing.items():
                _log.error("data of an instance is missing", instance=name, disks=disks)
            broken += [name for name in inactive if name not in busy]
        wanted = [
            (name, _op("OP_INSTANCE_ACTIVATE_DISKS", name, "activating disks that are not there", now_s))
            for name in broken
        ]
        activations = self._submit(wanted)
        self._wait_for({job: name for name, job in activations.items() if job is not None})

    def _tell(self, decision: Decision) -> None:
        for node in decision.rebooted:
            _log.info("node was rebooted", node=node)
        for node in decision.silent:
            _log.warning("node does not answer", node=node)
        for name in decision.given_up:
            _log.error(
                "instance given up: it does not stay up",
                instance=name,
                tries=watching.MOST_TRIES,
                again_after_h=watching.FORGET_AFTER_S / 3600,
            )
        for name in decision.under_way:
            _log.info("instance is being started by an earlier job", instance=name)

    def _load(self) -> Memory:
        try:
            return msgspec.json.decode(self._files.read(self._memory_path), type=Memory)
        except FileNotFoundError:
            return Memory()
        except msgspec.MsgspecError as error:
            _log.warning("what an earlier run remembered cannot be read", path=self._memory_path, cause=error)
            return Memory()

    def _save(self, memory: Memory) -> None:
        self._files.write(self._memory_path, msgspec.json.encode(memory))


def _op(op_id: str, instance: str, why: str, now_s: float, **more: Any) -> dict[str, Any]:
    return {"OP_ID": op_id, "instance_name": instance, "reason": _reason(why, now_s), **more}


def _reason(why: str, now_s: float) -> list[list[Any]]:
    return [["gnt:watcher", why, int(now_s * 1e9)]]


async def ensure_daemons(daemons: Daemons, paths: Paths) -> None:
    """Start those that should run here and do not."""
    missing = [
        service
        for service in SERVICES
        if (daemons.is_master() or not service.only_on_master) and running_pid(paths, service.program) is None
    ]
    if missing:
        await daemons.start(missing)


async def run_hooks(runner: Runner, files: Files, clock: Clock, paths: Paths) -> None:
    """Run the scripts in `/etc/ganeti/hooks/watcher`; what those say that fail goes to the log."""
    failed = await own_hooks.run(
        paths=paths,
        files=files,
        runner=runner,
        clock=clock,
        directory="watcher",
        path="watcher",
        object_type="NOT_APPLICABLE",
    )
    for result in failed:
        _log.warning("hook failed", script=result.script, output=result.output)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    try:
        options = _parser().parse_args(argv)
        job_age_s = parse_duration_s(options.job_age)
    except SystemExit as end:
        return EXIT_FAILURE if end.code else 0
    except Refused as error:
        return _fail(error.message, EXIT_FAILURE)
    paths = from_environment()
    if os.geteuid() != 0:
        return _fail("only root may run it", EXIT_FAILURE)
    try:
        _ = own_settings(paths.node_settings)
    except GanetiError as error:
        return _fail(error.message, EXIT_NODE_NOT_SET_UP)
    logs.start(paths.log_file("watcher"), debug=options.debug, also_stderr=options.debug or sys.stderr.isatty())
    try:
        with _alone(f"{paths.run}/ganeti-watcher.lock") as first:
            if not first:
                _log.info("an earlier run has not ended yet")
                return 0
            return _run(options, paths, job_age_s)
    except GanetiError as error:
        _log.error("run failed", cause=error.message)
        return _fail(error.message, EXIT_FAILURE)


def _run(options: argparse.Namespace, paths: Paths, job_age_s: int) -> int:
    runner, files, clock = SystemRunner(), SystemFiles(), SystemClock()
    daemons = Daemons(paths=paths, runner=runner, files=files, say=_log.info)
    trouble: str | None = None
    try:
        asyncio.run(ensure_daemons(daemons, paths))
    except Failed as error:  # said at the end: hooks may be what mends it
        _log.error("daemons not started", cause=error.message)
        trouble = error.message
    asyncio.run(run_hooks(runner, files, clock, paths))
    if trouble is not None:
        return _fail(trouble, EXIT_FAILURE)
    if not daemons.is_master():
        return EXIT_NOT_MASTER
    master = Master(paths.master_socket, paths.node_settings)
    paused_until_s = master.watcher_paused_until_s()
    if paused_until_s is not None and not options.ignore_pause:
        _log.info("paused", until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(paused_until_s)))
        return 0
    began_s = clock.now_s()
    Round(
        cluster=master,
        files=files,
        clock=clock,
        memory_path=f"{paths.data}/watcher.data",
        job_age_s=job_age_s,
        group=options.node_group,
        verify_disks=options.verify_disks,
        wait=options.wait_children,
    ).run()
    _log.info("run ended", took_s=clock.now_s() - began_s)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ganeti-watcher", description="Start what should run and does not. For cron, every five minutes."
    )
    parser.add_argument("-d", "--debug", action="store_true", help="say more, also on the terminal")
    parser.add_argument("-A", "--job-age", default="6h", metavar="AGE", help="archive jobs that ended so long ago (6h)")
    parser.add_argument("--ignore-pause", action="store_true", help="work although the watcher is paused")
    parser.add_argument(
        "--wait-children",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait for the jobs that are submitted; without it disks are not verified",
    )
    parser.add_argument(
        "--no-verify-disks", dest="verify_disks", action="store_false", help="do not look for disks that are not there"
    )
    parser.add_argument(
        "--no-strict", action="store_true", help="needs no effect: a run never waits for locks of others to look"
    )
    parser.add_argument("--rapi-ip", metavar="IP", help="needs no effect: there is no daemon to try there")
    parser.add_argument("--node-group", metavar="GROUP", help="only nodes and instances of that group")
    return parser


@contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Whether no other run holds the lock; held for as long as the context lasts."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        yield False
        return
    try:
        yield True
    finally:
        os.close(handle)


def _fail(message: str, status: int) -> int:
    print(f"ganeti-watcher: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

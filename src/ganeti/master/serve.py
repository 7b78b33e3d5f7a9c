"""The local API of `contract.api`: HTTP on a unix socket, for root only, on aiohttp."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from ganeti.base.errors import (
    EXISTS,
    NOT_UNIQUE,
    UNKNOWN,
    WRONG_INPUT,
    WRONG_STATE,
    Bug,
    Failed,
    GanetiError,
    Refused,
    Unavailable,
)
from ganeti.base.log import Log
from ganeti.contract import api
from ganeti.contract.calls.instance import InstanceConsoleGet
from ganeti.contract.join import TokenWish
from ganeti.contract.operation import Change
from ganeti.master.jobs.records import Tracked
from ganeti.master.master import Master
from ganeti.master.queries import engine, info, jobs
from ganeti.model.jobs import FINAL, JobId
from ganeti.model.objects import changed
from ganeti.ops.parts.guests import guest_of

log = Log(__name__)

LARGEST_REQUEST_BYTES: Final = 64 * 1024 * 1024
LONGEST_WAIT_S: Final = 120.0
FINISH_WITHIN_S: Final = 2.0
"""How long requests in flight may take when the daemon stops: some only wait for news of a job."""

S = TypeVar("S", bound=msgspec.Struct)
Answer = Callable[[Any, Mapping[str, str]], Awaitable[Any]]


class _Cancel(msgspec.Struct, frozen=True, kw_only=True):
    kill: bool = False


class _Priority(msgspec.Struct, frozen=True, kw_only=True):
    priority: int


class _Age(msgspec.Struct, frozen=True, kw_only=True):
    age_s: float | None = None


class _Fields(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    fields: list[str] | None = None


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    names: list[str] = []
    static: bool = False


class _TagsOf(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    name: str | None = None


class _Pattern(msgspec.Struct, frozen=True, kw_only=True):
    pattern: str


class _Drain(msgspec.Struct, frozen=True, kw_only=True):
    drain: bool | None = None


class _Pause(msgspec.Struct, frozen=True, kw_only=True):
    until_s: float | msgspec.UnsetType | None = msgspec.UNSET


class _Console(msgspec.Struct, frozen=True, kw_only=True):
    instance: str


class _Nothing(msgspec.Struct, frozen=True, kw_only=True):
    pass


class LocalApi:
    """Answers requests for a master at work. Every method takes the decoded body and the words of the path."""

    def __init__(self, master: Master, *, stop: Callable[[], None]) -> None:
        self._master = master
        self._stop = stop

    def routes(self) -> list[tuple[str, str, type[msgspec.Struct], Answer]]:
        """Method, path, type of the body, and who answers."""
        return [
            ("GET", "/ping", _Nothing, self.ping),
            ("POST", "/jobs", api.Submit, self.submit),
            ("POST", "/jobs/autoarchive", _Age, self.autoarchive),
            ("GET", "/jobs/{job}", _Nothing, self.job),
            ("POST", "/jobs/{job}/wait", api.WaitFor, self.wait),
            ("POST", "/jobs/{job}/cancel", _Cancel, self.cancel),
            ("POST", "/jobs/{job}/priority", _Priority, self.priority),
            ("POST", "/jobs/{job}/archive", _Nothing, self.archive),
            ("POST", "/query", api.Query, self.query),
            ("POST", "/query-fields", _Fields, self.query_fields),
            ("POST", "/info/{kind}", _Info, self.info),
            ("POST", "/tags", _TagsOf, self.tags),
            ("POST", "/tags/search", _Pattern, self.search_tags),
            ("POST", "/locks", _Nothing, self.locks),
            ("POST", "/queue/drain", _Drain, self.drain),
            ("POST", "/watcher/pause", _Pause, self.watcher_pause),
            ("POST", "/console", _Console, self.console),
            ("POST", "/join-token", TokenWish, self.join_token),
            ("POST", "/shutdown", _Nothing, self.shutdown),
        ]

    async def ping(self, _: _Nothing, words: Mapping[str, str]) -> Any:
        """Who is there."""
        cluster = self._master.state.picture.cluster
        return {
            "version": self._master.ports.version,
            "cluster": cluster.cluster_name,
            "master": self._master.state.picture.nodes[cluster.master_node].name,
            "pid": os.getpid(),
        }

    async def submit(self, body: api.Submit, words: Mapping[str, str]) -> Any:
        """Accept jobs, each or not."""
        answers = await self._master.queue.submit(body.jobs)
        return {
            "jobs": [{"error": error_of(a)} if isinstance(a, GanetiError) else {"id": a} for a in answers],
        }

    async def job(self, _: _Nothing, words: Mapping[str, str]) -> Any:
        """A whole job, also an archived one."""
        job = _job_id(words)
        tracked = self._master.queue.jobs.get(job)
        if tracked is not None:
            return jobs.details(tracked.with_log(), archived=False)
        for found in await self._master.sources.archived_jobs([job]):
            return jobs.details(found, archived=True)
        raise Refused(UNKNOWN, f"Job {job} not found", job=job)

    async def wait(self, body: api.WaitFor, words: Mapping[str, str]) -> Any:
        """News of a job; of an archived one there is no more."""
        job = _job_id(words)
        if job not in self._master.queue.jobs:
            for found in await self._master.sources.archived_jobs([job]):
                return _news(Tracked(job=found), body)
        timeout_s = min(body.timeout_s, LONGEST_WAIT_S)
        tracked = await self._master.queue.news(
            job, status=body.status, log_serial=body.log_serial, timeout_s=timeout_s
        )
        return _news(tracked, body)

    async def cancel(self, body: _Cancel, words: Mapping[str, str]) -> Any:
        """Cancel a job."""
        return _verdict(await self._master.queue.cancel(_job_id(words), kill=body.kill))

    async def priority(self, body: _Priority, words: Mapping[str, str]) -> Any:
        """Change a job's priority."""
        return _verdict(await self._master.queue.change_priority(_job_id(words), body.priority))

    async def archive(self, _: _Nothing, words: Mapping[str, str]) -> Any:
        """Archive one job that has ended."""
        job = _job_id(words)
        if self._master.queue.find(job).job.status not in FINAL:
            return _verdict((False, f"Job {job} has not ended; only ended jobs can be archived"))
        await self._master.queue.archive([job])
        return _verdict((True, f"Job {job} archived"))

    async def autoarchive(self, body: _Age, words: Mapping[str, str]) -> Any:
        """Archive all jobs that ended longer ago."""
        archived, left = await self._master.queue.autoarchive(body.age_s)
        return {"archived": archived, "left": left}

    async def query(self, body: api.Query, words: Mapping[str, str]) -> Any:
        """A list."""
        return await engine.run(body, self._master.sources)

    async def query_fields(self, body: _Fields, words: Mapping[str, str]) -> Any:
        """The columns of a list."""
        return {"fields": engine.fields(body.what, body.fields, self._master.sources.view)}

    async def info(self, body: _Info, words: Mapping[str, str]) -> Any:
        """Data for an info command."""
        return await info.run(words["kind"], body.names, static=body.static, sources=self._master.sources)

    async def tags(self, body: _TagsOf, words: Mapping[str, str]) -> Any:
        """The tags of one object."""
        picture = self._master.state.picture
        match body.kind, body.name:
            case "cluster", _:
                return {"tags": picture.cluster.tags}
            case "instance", str(name):
                return {"tags": picture.instance(name).tags}
            case "node", str(name):
                return {"tags": picture.node(name).tags}
            case "nodegroup" | "group", str(name):
                return {"tags": picture.group(name).tags}
            case _:
                raise Refused(WRONG_INPUT, f"tags are on cluster, nodegroup, node or instance, not on '{body.kind}'")

    async def search_tags(self, body: _Pattern, words: Mapping[str, str]) -> Any:
        """Every tag that fits a regular expression, with the path of what carries it."""
        try:
            pattern = re.compile(body.pattern)
        except re.error as error:
            raise Refused(WRONG_INPUT, f"'{body.pattern}' is not a regular expression: {error}") from error
        picture = self._master.state.picture
        carriers = [("/cluster", picture.cluster.tags)]
        carriers += sorted((f"/nodegroup/{g.name}", g.tags) for g in picture.groups.values())
        carriers += sorted((f"/nodes/{n.name}", n.tags) for n in picture.nodes.values())
        carriers += sorted((f"/instances/{i.name}", i.tags) for i in picture.instances.values())
        return {"tags": [[path, tag] for path, tags in carriers for tag in tags if pattern.search(tag)]}

    async def locks(self, _: _Nothing, words: Mapping[str, str]) -> Any:
        """Locks that are held or waited for."""
        return {"locks": list(self._master.sources.locks())}

    async def drain(self, body: _Drain, words: Mapping[str, str]) -> Any:
        """Close or open the queue for new jobs."""
        cluster = self._master.state.picture.cluster
        if body.drain is not None and body.drain != cluster.drained:
            now_s = self._master.ports.clock.now_s()
            await self._master.state.commit(Change(put=(changed(cluster, now_s, drained=body.drain),)))
        return {"drained": self._master.state.picture.cluster.drained}

    async def watcher_pause(self, body: _Pause, words: Mapping[str, str]) -> Any:
        """Let the watcher rest until some time, or go on; a time that is over is none."""
        cluster = self._master.state.picture.cluster
        now_s = self._master.ports.clock.now_s()
        until_s = cluster.watcher_pause_until
        if not isinstance(body.until_s, msgspec.UnsetType) and body.until_s != until_s:
            if body.until_s is not None and body.until_s <= now_s:
                raise Refused(WRONG_INPUT, "the watcher can rest until a time in the future only", until_s=body.until_s)
            until_s = body.until_s
            await self._master.state.commit(Change(put=(changed(cluster, now_s, watcher_pause_until=until_s),)))
        return {"until_s": until_s if until_s is not None and until_s > now_s else None}

    async def console(self, body: _Console, words: Mapping[str, str]) -> Any:
        """How to reach an instance's console."""
        instance = self._master.state.picture.instance(body.instance)
        states = await self._master.sources.live_guests([instance.primary_node])
        answer = states.get(instance.primary_node)
        if isinstance(answer, GanetiError):
            raise answer
        if answer is None or all(guest.name != instance.name for guest in answer.guests):
            raise Refused(
                WRONG_STATE,
                f"Instance {instance.name} is not running; start it with 'gnt-instance startup {instance.name}'",
            )
        call = InstanceConsoleGet(guest=guest_of(self._master.sources.view, instance))
        return await self._master.nodes.call(instance.primary_node, call)

    async def join_token(self, body: TokenWish, words: Mapping[str, str]) -> Any:
        """A token with which a host can come in."""
        if self._master.enrolment is None:
            raise Refused(WRONG_STATE, "this master lets no hosts in")
        return await self._master.enrolment.new_token(body)

    async def shutdown(self, _: _Nothing, words: Mapping[str, str]) -> Any:
        """End the daemon after this answer."""
        self._stop()
        return {}


def _news(tracked: Tracked, known: api.WaitFor) -> api.JobNews:
    fresh = [entry for lines in tracked.log for entry in lines if entry.serial > known.log_serial]
    return api.JobNews(
        id=tracked.job.id,
        status=tracked.job.status,
        op_status=[op.status for op in tracked.job.ops],
        op_result=[op.result for op in tracked.job.ops],
        log=[(e.serial, e.time_s, e.kind, e.text) for e in sorted(fresh, key=lambda e: e.serial)],
        changed=bool(fresh) or tracked.job.status != known.status,
    )


def _job_id(words: Mapping[str, str]) -> JobId:
    text = words["job"]
    if not (text.isdecimal() and len(text) < 19):
        raise Refused(WRONG_INPUT, f"'{text}' is not a job id; ids are numbers", job=text)
    return JobId(int(text))


def _verdict(answer: tuple[bool, str]) -> dict[str, object]:
    return {"ok": answer[0], "message": answer[1]}


def error_of(error: GanetiError) -> dict[str, Any]:
    """An error as it travels."""
    return {
        "class": type(error).__name__.lower(),
        "code": error.code if isinstance(error, Refused) else None,
        "message": error.message,
        "facts": {name: _plain(value) for name, value in error.facts.items()},
    }


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, list, dict, type(None))) else str(value)


def _http_status(error: GanetiError) -> int:
    match error:
        case Refused(code=code) if code == UNKNOWN:
            return 404
        case Refused(code=code) if code in (EXISTS, NOT_UNIQUE):
            return 409
        case Refused():
            return 400
        case Unavailable():
            return 503
        case Failed():
            return 500
        case _:
            return 500


# -- HTTP ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(master: Master, socket_path: str, *, stop: Callable[[], None]) -> AsyncIterator[None]:
    """Serve the local API on a unix socket for as long as the context lasts."""
    app = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
    for method, path, body, answer in LocalApi(master, stop=stop).routes():
        app.router.add_route(method, path, _handler(body, answer))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=FINISH_WITHIN_S)
    await runner.setup()
    try:
        os.makedirs(os.path.dirname(socket_path), mode=0o750, exist_ok=True)
        site = web.UnixSite(runner, socket_path)
        await site.start()
        os.chmod(socket_path, 0o600)
        yield
    finally:
        await runner.cleanup()


def _handler(kind: type[S], answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    decoder = msgspec.json.Decoder(kind)

    async def handle(request: web.Request) -> web.Response:
        try:
            _check_peer(request)
            raw = await request.read()
            try:
                body = decoder.decode(raw or b"{}")
            except msgspec.DecodeError as error:
                raise Refused(WRONG_INPUT, f"the request cannot be read: {error}") from error
            reply = await answer(body, request.match_info)
            return web.Response(body=msgspec.json.encode(reply), content_type="application/json")
        except web.HTTPException:
            raise  # a body that is too large
        except GanetiError as error:
            if isinstance(error, Bug):
                log.bug("request met a bug", error, path=request.path)
            return _error_response(error)
        except Exception as error:
            # One of the three borders: a bug in one answer does not end the daemon.
            log.bug("request broke", error, path=request.path)
            return _error_response(Bug(f"{type(error).__name__}: {error}"))

    return handle


def _error_response(error: GanetiError) -> web.Response:
    return web.Response(
        status=_http_status(error),
        body=msgspec.json.encode({"error": error_of(error)}),
        content_type="application/json",
    )


def _check_peer(request: web.Request) -> None:
    """Only root, and the user the daemon runs as, may ask; the kernel says who it is."""
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    if sock is None or sock.family != socket.AF_UNIX:
        raise Refused(WRONG_STATE, "this API is served on a unix socket only")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        raise Refused(WRONG_STATE, f"only root may command the cluster, not the user with id {uid}")

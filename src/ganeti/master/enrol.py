"""Letting hosts in: join tokens, and the enrolment port that serves while there are any (`contract.join`).

A token is good once. It is in the store as a hash, under `token/ID`; its use is a commit of its own before anything is
answered, so that of two who come with the same token one is refused, also over the death of this master.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec

from ganeti.base import version
from ganeti.base.errors import (
    ENVIRONMENT,
    RESOLVER,
    UNKNOWN,
    WRONG_INPUT,
    WRONG_STATE,
    Bug,
    GanetiError,
    Refused,
    Unavailable,
)
from ganeti.base.log import Log
from ganeti.contract import api
from ganeti.contract.join import About, JoinAnswer, JoinRequest, NewsOf, Proof, Token, TokenWish
from ganeti.contract.settings import NodeSettings
from ganeti.master.jobs.execute import Bench
from ganeti.master.jobs.queue import Queue
from ganeti.master.state import encode
from ganeti.model.names import checked_host
from ganeti.model.objects import Uuid
from ganeti.ops.node.add import NodeAddParams, check_clock, check_free, check_name
from ganeti.ops.parts import membership

log = Log(__name__)

TOKEN_PREFIX: Final = "token/"
LONGEST_TTL_S: Final = 7 * 86_400
FINISH_WITHIN_S: Final = 900.0
"""How long after its use a host has to come in."""

LOOK_EVERY_S: Final = 2.0
NEWS_WITHIN_S: Final = 30.0


class Authority(Protocol):
    """Who certifies nodes."""

    @property
    def certificate(self) -> bytes:
        """Its own certificate (PEM)."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of that."""
        ...

    def sign(self, request: bytes, *, node_name: str, addresses: list[str]) -> tuple[bytes, str]:
        """A certificate (PEM) for the key in a request (PEM), and its fingerprint (hex). `Refused` for a bad request."""
        ...


Answer = Callable[[str, bytes, str], Awaitable[tuple[int, bytes]]]


class Doors(Protocol):
    """The outside world of enrolment."""

    @property
    def authority(self) -> Authority:
        """Who certifies. `Failed` when this master has no key for it."""
        ...

    @property
    def port(self) -> int:
        """Where hosts shall come."""
        ...

    def listening(self, host: str, answer: Answer) -> AbstractAsyncContextManager[int]:
        """Serve the enrolment port. `OSError` when it cannot be had."""
        ...

    async def addresses(self, name: str, family: int) -> tuple[str, ...]:
        """What a name resolves to here."""
        ...


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the store holds it; `node` is set when it has been used, `job` when the host was handed on."""

    digest: str
    expires_s: float
    wish: TokenWish
    node: NodeAddParams | None = None
    job: int | None = None


class Enrolment:
    """All tokens that are good for something, and the door they open."""

    def __init__(self, bench: Bench, queue: Queue, doors: Doors) -> None:
        self._bench, self._queue, self._doors = bench, queue, doors
        self._admissions: dict[str, Admission] = {}
        self._busy = asyncio.Lock()
        self._changed = asyncio.Event()
        self._open_at: int | None = None
        self._trouble = ""
        self._opened = asyncio.Event()

    def load(self) -> None:
        """Take the tokens that an earlier master gave out from what the store held."""
        entries = self._bench.state.entries
        for key in [key for key in entries if key.startswith(TOKEN_PREFIX)]:
            self._admissions[key.removeprefix(TOKEN_PREFIX)] = msgspec.json.decode(
                entries.pop(key).value, type=Admission
            )

    async def run(self) -> None:
        """Keep the door open while there are tokens, and forget those that are over. Without an end."""
        while True:
            await self._forget_old()
            if not self._admissions:
                self._changed.clear()
                await self._changed.wait()
                continue
            picture = self._bench.state.picture
            host = picture.nodes[picture.cluster.master_node].primary_ip
            try:
                async with self._doors.listening(host, self._answer) as port:
                    self._open_at, self._trouble = port, ""
                    self._opened.set()
                    log.info("enrolment port open", address=host, port=port)
                    while self._admissions:
                        await asyncio.sleep(LOOK_EVERY_S)
                        await self._forget_old()
                log.info("enrolment port closed")
            except OSError as error:
                self._trouble = f"cannot listen on {host} port {self._doors.port}: {error.strerror or error}"
                log.warning("enrolment port cannot be opened", cause=self._trouble)
                self._opened.set()
                await asyncio.sleep(LOOK_EVERY_S)
            finally:
                self._open_at = None
                self._opened.clear()

    async def new_token(self, wish: TokenWish) -> dict[str, Any]:
        """Make a token. `Refused` for a wish nobody can meet; `Unavailable` when the enrolment port cannot be opened."""
        if not 1 <= wish.ttl_s <= LONGEST_TTL_S:
            raise Refused(WRONG_INPUT, f"a join token lives for 1 to {LONGEST_TTL_S} seconds, not for {wish.ttl_s}")
        self._check_wish(wish)
        authority = self._doors.authority
        ids, now_s = self._bench.ids, self._bench.clock.now_s()
        id, secret = ids.random_bytes(8).hex(), ids.random_bytes(24)
        await self._write(id, Admission(digest=_digest(secret), expires_s=now_s + wish.ttl_s, wish=wish))
        self._changed.set()
        try:
            async with asyncio.timeout(10.0):
                await self._opened.wait()
        except TimeoutError:
            self._trouble = "it did not open within 10 s"
        if self._open_at is None:
            await self._drop(id)
            raise Unavailable(f"hosts could not come in: {self._trouble}")
        picture = self._bench.state.picture
        host = picture.nodes[picture.cluster.master_node].primary_ip
        token = Token(host=host, port=self._open_at, authority=authority.fingerprint, id=id, secret=secret)
        log.info("join token made", token=id, ttl_s=wish.ttl_s, node=wish.node_name)
        return {"token": token.text(), "expires_s": now_s + wish.ttl_s, "address": host, "port": self._open_at}

    def _check_wish(self, wish: TokenWish) -> None:
        picture = self._bench.state.picture
        if wish.group is not None:
            picture.group(wish.group)
        if wish.node_name is None:
            if wish.readd:
                raise Refused(WRONG_INPUT, "say which node comes back: a token for that is for one name only")
            return
        # Says the same as it would when the host has come, but before anybody has to go there.
        check_name(self._bench.view(), wish.node_name, readd=wish.readd)

    # -- what hosts ask -----------------------------------------------------------------------------------

    async def _answer(self, path: str, body: bytes, peer: str) -> tuple[int, bytes]:
        """One of the borders where every error is caught: a host that asks does not end the master."""
        try:
            match path:
                case "/about":
                    return 200, encode(self._about())
                case "/join":
                    return 200, encode(await self._join(_read(body, JoinRequest), peer))
                case "/joined":
                    return 200, encode(await self._joined(_read(body, Proof)))
                case "/news":
                    return 200, encode(await self._news(_read(body, NewsOf)))
                case _:
                    raise Refused(UNKNOWN, f"there is no {path} here")
        except GanetiError as error:
            log.warning("enrolment refused", peer=peer, path=path, cause=error.message)
            return _status(error), encode({"error": _error(error)})
        except Exception as error:
            log.bug("enrolment broke", error, path=path)
            return 500, encode({"error": _error(Bug(f"{type(error).__name__}: {error}"))})

    def _about(self) -> About:
        cluster = self._bench.state.picture.cluster
        return About(
            cluster_name=cluster.cluster_name,
            cluster_uuid=cluster.uuid,
            family=cluster.primary_ip_family,
            version=version.software(),
            authority=self._doors.authority.certificate.decode(),
        )

    async def _join(self, asked: JoinRequest, peer: str) -> JoinAnswer:
        async with self._busy:
            admission = self._admitted(asked)
            if admission.node is not None:
                raise Refused(
                    WRONG_STATE,
                    f"this join token has been used already, by {admission.node.node_name}; make a new one with "
                    "'gnt-cluster join-token' on the master. If that was not you, somebody has read the token: look at "
                    "that host, and remove it with 'gnt-node remove' if it is in the cluster",
                )
            params = await self._judged(asked, admission.wish, peer)
            assert params.primary_ip is not None
            assert params.secondary_ip is not None
            certificate, fingerprint = self._doors.authority.sign(
                asked.request.encode(),
                node_name=params.node_name,
                addresses=sorted({params.primary_ip, params.secondary_ip}),
            )
            params = msgspec.structs.replace(params, certificate=fingerprint)
            until_s = max(admission.expires_s, self._bench.clock.now_s() + FINISH_WITHIN_S)
            used = msgspec.structs.replace(admission, node=params, expires_s=until_s)
            await self._write(asked.id, used)
        log.info("join token used", token=asked.id, node=params.node_name, peer=peer, certificate=fingerprint)
        return JoinAnswer(certificate=certificate.decode(), settings=self._settings(params))

    def _settings(self, params: NodeAddParams) -> NodeSettings:
        picture = self._bench.state.picture
        shared = membership.settings_for(picture)
        assert params.node_uuid is not None
        assert params.primary_ip is not None
        return NodeSettings(
            cluster_uuid=picture.cluster.uuid,
            cluster_name=shared.cluster_name,
            node_uuid=params.node_uuid,
            node_name=params.node_name,
            master_name=shared.master_name,
            host=params.primary_ip,
            port=params.port,
            callers=shared.callers,
            file_storage_dirs=shared.file_storage_dirs,
            master_ip=shared.master_ip,
            master_netdev=shared.master_netdev,
            master_netmask=shared.master_netmask,
        )

    async def _judged(self, asked: JoinRequest, wish: TokenWish, peer: str) -> NodeAddParams:
        view = self._bench.view()
        name = checked_host(asked.node_name, what="node name")
        wanted = wish.node_name
        if wanted is not None and name != wanted.lower() and not name.startswith(wanted.lower() + "."):
            raise Refused(WRONG_INPUT, f"this join token is for {wanted}, and this host is called {name}", name=name)
        if asked.protocol // 10_000 != version.PROTOCOL // 10_000:
            raise Refused(
                ENVIRONMENT,
                f"this host has version {asked.version}, the master {version.software()}: install the same here",
            )
        check_clock(name, asked.now_s, self._bench.clock.now_s())
        if peer != asked.primary_ip:
            raise Refused(
                WRONG_INPUT,
                f"this host says its address is {asked.primary_ip}, but it reaches the master from {peer}; its name "
                "must resolve to the address by which nodes talk to one another",
                peer=peer,
            )
        found = await self._doors.addresses(name, view.cluster.primary_ip_family)
        if asked.primary_ip not in found:
            raise Refused(
                RESOLVER,
                f"on the master the name {name} "
                + (f"is {', '.join(found)}, not {asked.primary_ip}" if found else "does not resolve")
                + f"; put a line '{asked.primary_ip} {name}' into /etc/hosts there, or into your DNS",
                name=name,
            )
        known = view.picture.node_names.get(name)
        params = NodeAddParams(
            node_name=name,
            primary_ip=asked.primary_ip,
            secondary_ip=asked.secondary_ip,
            readd=wish.readd,
            group=wish.group,
            master_capable=wish.master_capable,
            vm_capable=wish.vm_capable,
            ndparams=wish.ndparams,
            node_uuid=known if wish.readd and known is not None else Uuid(self._bench.ids.uuid()),
        )
        check_free(view, params)
        return params

    async def _joined(self, proof: Proof) -> dict[str, int]:
        async with self._busy:
            admission = self._admitted(proof)
            if admission.node is None:
                raise Refused(WRONG_STATE, "this token has not been used to join yet")
            if admission.job is None:
                op = msgspec.to_builtins(admission.node) | {"priority": admission.wish.priority}
                [job] = await self._queue.submit_all([[op]])
                admission = msgspec.structs.replace(admission, job=job)
                await self._write(proof.id, admission)
        assert admission.job is not None
        return {"job": admission.job}

    async def _news(self, known: NewsOf) -> api.JobNews:
        job = self._admitted(known).job
        if job is None:
            raise Refused(WRONG_STATE, "there is no job for this token yet")
        tracked = await self._queue.news(
            job,  # type: ignore[arg-type]
            status=known.status,
            log_serial=known.log_serial,
            timeout_s=NEWS_WITHIN_S,
        )
        fresh = [entry for lines in tracked.log for entry in lines if entry.serial > known.log_serial]
        return api.JobNews(
            id=tracked.job.id,
            status=tracked.job.status,
            op_status=[op.status for op in tracked.job.ops],
            op_result=[op.result for op in tracked.job.ops],
            log=[(e.serial, e.time_s, e.kind, e.text) for e in fresh],
            changed=True,
        )

    def _admitted(self, proof: Proof) -> Admission:
        """The token, or one and the same refusal for all that is wrong with it: who guesses learns nothing."""
        admission = self._admissions.get(proof.id)
        digest = admission.digest if admission is not None else _digest(b"nobody")
        right = hmac.compare_digest(digest, _digest(proof.secret))
        if admission is None or not right or admission.expires_s <= self._bench.clock.now_s():
            raise Refused(
                WRONG_STATE,
                "this join token is not known here: it has expired, or has been used up, or is of another cluster; make a "
                "new one with 'gnt-cluster join-token' on the master",
            )
        return admission

    # -- the store ----------------------------------------------------------------------------------------

    async def _write(self, id: str, admission: Admission) -> None:
        await self._bench.state.commit(put={f"{TOKEN_PREFIX}{id}": encode(admission)})
        self._admissions[id] = admission

    async def _drop(self, id: str) -> None:
        await self._bench.state.commit(delete=[f"{TOKEN_PREFIX}{id}"])
        self._admissions.pop(id, None)

    async def _forget_old(self) -> None:
        now_s = self._bench.clock.now_s()
        for id in [id for id, admission in self._admissions.items() if admission.expires_s <= now_s]:
            async with self._busy:
                try:
                    await self._drop(id)
                except Unavailable as error:
                    log.warning("join token not forgotten yet", token=id, cause=error)


def _read(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refused(WRONG_INPUT, f"the request cannot be read: {error}; do the versions differ?") from error


def _digest(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _status(error: GanetiError) -> int:
    return 400 if isinstance(error, Refused) else 503 if isinstance(error, Unavailable) else 500


def _error(error: GanetiError) -> dict[str, Any]:
    code = error.code if isinstance(error, Refused) else None
    return {"class": type(error).__name__.lower(), "code": code, "message": error.message, "facts": {}}

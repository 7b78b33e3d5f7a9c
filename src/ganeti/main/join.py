"""`ganeti-join TOKEN`: make this host a node of the cluster that gave out the token.

The key of this host's certificate is made here and never leaves it. Everything that is made is recorded before it is
made, as in `gnt-cluster init`, so that a join that fails leaves the host as it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from ganeti.base import version
from ganeti.base.clock import Clock, SystemClock
from ganeti.base.errors import ENVIRONMENT, EXISTS, WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.files import Files, SystemFiles
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner
from ganeti.base.retry import attempts
from ganeti.client.errors import from_answer, from_result
from ganeti.contract.api import JobNews
from ganeti.contract.join import About, JoinAnswer, JoinRequest, NewsOf, Proof, Token, read_token
from ganeti.contract.settings import NodeSettings
from ganeti.main import checks
from ganeti.main.daemons import SERVICES, Daemons
from ganeti.main.detect import Detector, Family, HostFacts, Names, SystemNames, own_name
from ganeti.main.traces import Traces
from ganeti.model.jobs import FINAL
from ganeti.wire import certificates
from ganeti.wire.enrolment import EnrolmentClient

EXIT_FAILURE: Final = 1
MASTER_BACK_WITHIN_S: Final = 120.0
"""How long a master that went away while this host joined is waited for."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    secondary_ip: str | None = None
    readd: bool = False
    force: bool = False


class Join:
    """Makes one host a node. `say` gets each line for the operator."""

    def __init__(
        self,
        *,
        paths: Paths,
        files: Files,
        runner: Runner,
        clock: Clock,
        names: Names,
        host_name: str,
        say: Callable[[str], None],
        daemons: Daemons | None = None,
        uid: int = 0,
    ) -> None:
        self._paths, self._files, self._runner, self._clock, self._say = paths, files, runner, clock, say
        self._daemons = daemons or Daemons(paths=paths, runner=runner, files=files, say=say)
        self._detector = Detector(runner=runner, files=files, names=names, paths=paths, uid=uid, host_name=host_name)
        self._traces = Traces(files=files, runner=runner, paths=paths)

    async def join(self, token: Token, wishes: Wishes) -> None:
        """Join, or raise: `Refused` and `Unavailable` with nothing changed, `Failed` with everything taken back."""
        about = await self._who_is_there(token)
        facts = await self._detector.look(about.cluster_name, cast(Family, about.family))
        again = self._check_free(facts, about, wishes)
        primary = checks.host_address(facts, about.cluster_name)
        secondary = checks.secondary_address(facts, wishes.secondary_ip, primary)
        door = EnrolmentClient(token.host, token.port, authority=about.authority)
        proof = Proof(id=token.id, secret=token.secret)
        own = certificates.make_request(facts.host_name)
        request = JoinRequest(
            id=token.id,
            secret=token.secret,
            node_name=facts.host_name,
            primary_ip=primary,
            secondary_ip=secondary,
            request=own.certificate.decode(),
            version=version.software(),
            protocol=version.PROTOCOL,
            now_s=self._clock.now_s(),
        )
        answer: JoinAnswer = await _ask(door, "/join", request, JoinAnswer)
        self._say(f"host {facts.host_name} ({primary}) is let into cluster {about.cluster_name}")
        try:
            if again:
                await self._forget(about)
            await self._make(answer, about, own.key)
            await self._come_in(door, proof)
        except BaseException as error:
            await self._take_back(error, again=again)
            raise
        self._say(f"host {facts.host_name} is a node of cluster {about.cluster_name}")

    async def _who_is_there(self, token: Token) -> About:
        stranger = EnrolmentClient(token.host, token.port)
        about: About = await _ask(stranger, "/about", None, About)
        shown = bytes.fromhex(certificates.fingerprint(about.authority.encode()))
        if shown != token.authority:
            raise Refused(
                WRONG_STATE,
                f"who answers on {token.host} port {token.port} is not the cluster that made this token: its authority has "
                f"the fingerprint {shown.hex()}, the token says {token.authority.hex()}",
            )
        return about

    def _check_free(self, facts: HostFacts, about: About, wishes: Wishes) -> bool:
        """Whether an earlier membership must be forgotten. `Refused` when there is one that nobody gave up."""
        known = self._known()
        if known is None:
            if facts.leftovers and wishes.force:
                return True
            checks.no_cluster_here(facts)
            return False
        if known.cluster_uuid == about.cluster_uuid and known.master_name == known.node_name:
            raise Refused(WRONG_STATE, f"this host is the master of {known.cluster_name}; it cannot join it")
        if wishes.force or (known.cluster_uuid == about.cluster_uuid and wishes.readd):
            return True
        if known.cluster_uuid == about.cluster_uuid:
            raise Refused(
                EXISTS,
                f"this host is in the cluster {known.cluster_name} already; to take it back after a repair use "
                f"'gnt-node add --readd {known.node_name}' on the master",
            )
        raise Refused(
            EXISTS,
            f"this host is in another cluster, {known.cluster_name} (master {known.master_name}); remove it there first "
            f"with 'gnt-node remove {known.node_name}', or say --force-join to take it away from there",
            cluster=known.cluster_name,
        )

    def _known(self) -> NodeSettings | None:
        try:
            return msgspec.json.decode(self._files.read(self._paths.node_settings), type=NodeSettings)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise Failed(f"cannot read {self._paths.node_settings}: {error}") from error

    async def _forget(self, about: About) -> None:
        """Let go of an earlier membership; guests and disks stay."""
        await self._daemons.stop(SERVICES)
        if self._traces.load():
            await self._traces.drop_addresses()
        known = self._known()
        paths = self._paths
        gone = [paths.node_settings, paths.node_certificate, paths.ca_certificate, paths.ca_key, paths.no_vote]
        gone += [f"{path}{end}" for path in (paths.replica, paths.store) for end in ("", "-wal", "-shm", ".lock")]
        gone.append(paths.archive)
        if known is None or known.cluster_uuid != about.cluster_uuid:
            gone.append(paths.epoch)
        for path in gone:
            self._files.remove(path)
        self._say("what this host knew of its earlier membership is removed; its guests and disks are left as they are")

    async def _make(self, answer: JoinAnswer, about: About, key: bytes) -> None:
        paths, traces, settings = self._paths, self._traces, answer.settings
        if not traces.load():
            traces.make_directory(paths.data, 0o750, whole=True)
            traces.record_on_disk()
        traces.make_directory(paths.log, 0o750, kept=True)
        traces.make_directory(paths.run, 0o755, whole=True)
        traces.make_directory(f"{paths.run}/socket", 0o750, whole=True)
        traces.make_directory(paths.etc, 0o755)
        traces.make_directory(paths.os_search_path[0], 0o755)
        for directory in settings.file_storage_dirs:
            traces.make_directory(directory, 0o750)
        traces.write_file(paths.ca_certificate, about.authority.encode(), mode=0o644)
        traces.write_file(paths.node_certificate, answer.certificate.encode() + key)
        # The settings come last: with them the host is in a cluster.
        traces.write_file(paths.node_settings, msgspec.json.format(msgspec.json.encode(settings)))
        await self._daemons.start(SERVICES[:1])

    async def _come_in(self, door: EnrolmentClient, proof: Proof) -> None:
        """Ask to be added and follow the job to its end, also over a restart of the master."""
        answer: dict[str, Any] = await _patiently(door, "/joined", proof, dict[str, Any])
        self._say(f"job {answer['job']} adds this node")
        status, serial = None, 0
        while True:
            known = NewsOf(id=proof.id, secret=proof.secret, status=status, log_serial=serial)
            news: JobNews = await _patiently(door, "/news", known, JobNews)
            for number, _, kind, text in news.log:
                serial = max(serial, number)
                self._say(f"  {'WARNING: ' if kind == 'warning' else ''}{text}")
            status = news.status
            if status == "success":
                return
            if status in FINAL:
                raise Failed(f"the cluster did not take this host: {from_result(news.op_result[0])}")

    async def _take_back(self, why: BaseException, *, again: bool) -> None:
        try:
            await self._daemons.stop(SERVICES[:1], idle_is_news=False)
            if again:
                # What was removed before cannot be brought back, but guests and disks must not go.
                for path in (self._paths.node_settings, self._paths.node_certificate, self._paths.ca_certificate):
                    self._files.remove(path)
                self._say("this host is in no cluster now; its guests and disks are left as they are")
                return
            for name in self._files.list_dir(self._paths.data):
                if name in ("epoch", "replica.db", "replica.db-wal", "replica.db-shm", "replica.db.lock") or (
                    name.startswith("ssconf_") or name == "ca.key"
                ):
                    self._files.remove(f"{self._paths.data}/{name}")
            await self._traces.undo(destroyed=False)
            self._files.remove(self._traces.path)
        except (GanetiError, OSError) as error:
            raise Failed(f"{why}; and taking back what was made so far failed too: {error}") from why
        self._say("everything that was made so far has been taken back")


async def _patiently(door: EnrolmentClient, path: str, body: msgspec.Struct, kind: Any) -> Any:
    trouble: Unavailable | None = None
    async for _ in attempts(within_s=MASTER_BACK_WITHIN_S):
        try:
            return await _ask(door, path, body, kind)
        except Unavailable as error:
            trouble = error
    assert trouble is not None
    raise trouble


async def _ask(door: EnrolmentClient, path: str, body: msgspec.Struct | None, kind: Any) -> Any:
    data = msgspec.json.encode(body) if body is not None else b""
    status, answer = await asyncio.to_thread(door.ask, "GET" if body is None else "POST", path, data)
    if status != 200:
        with suppress(msgspec.MsgspecError):
            raise from_answer(status, msgspec.json.decode(answer))
        raise Unavailable(f"the master answers with HTTP status {status}")
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise Refused(
            ENVIRONMENT, f"the answer of the master cannot be understood: {error}; do its version and this one differ?"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="ganeti-join", description="Make this host a node of the cluster that gave out the token."
    )
    parser.add_argument(
        "token", nargs="?", metavar="TOKEN", help="from 'gnt-cluster join-token'; without: standard input"
    )
    parser.add_argument("-s", "--secondary-ip", metavar="ADDRESS", help="address of this host for replication")
    parser.add_argument("--readd", action="store_true", help="come back into the same cluster")
    parser.add_argument("--force-join", action="store_true", help="give up the membership in another cluster")
    parser.add_argument("--version", action="version", version=f"ganeti-join {version.software()}")
    try:
        asked = parser.parse_args(argv)
    except SystemExit as end:
        # Bad usage is exit status 1 in this family of commands (spec: cli, general), argparse says 2.
        return EXIT_FAILURE if end.code else 0
    try:
        checks.root(os.geteuid(), "ganeti-join")
        text = asked.token if asked.token is not None else sys.stdin.readline()
        if not text.strip():
            raise Refused(WRONG_INPUT, "say which token: ganeti-join TOKEN, or the token on standard input")
        token = read_token(text)
        join = Join(
            paths=from_environment(),
            files=SystemFiles(),
            runner=SystemRunner(),
            clock=SystemClock(),
            names=SystemNames(),
            host_name=own_name(),
            say=_say,
        )
        wishes = Wishes(secondary_ip=asked.secondary_ip, readd=asked.readd, force=asked.force_join)
        asyncio.run(join.join(token, wishes))
    except KeyboardInterrupt:
        print("ganeti-join: interrupted", file=sys.stderr)
        return EXIT_FAILURE
    except GanetiError as error:
        print(f"ganeti-join: {error.message}", file=sys.stderr)
        return EXIT_FAILURE
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

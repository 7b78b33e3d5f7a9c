"""`gnt-cluster master-failover` and `master-ping`: make this master candidate the master, and ask whether there is one.

The order matters. Look: most nodes must agree on who the master was, and no candidate may have a newer copy than this
one. Claim: every node that grants the new epoch refuses the old master from then on, and more than half must. Only then
does the copy become the store.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ganeti.base.clock import Clock, SystemClock
from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.files import Files, SystemFiles
from ganeti.base.ids import Ids, SystemIds
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner
from ganeti.base.version import software
from ganeti.client.master import Master
from ganeti.contract.calls.member import MasterClaim, ReplicaState, Vote
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import Txn
from ganeti.main import checks
from ganeti.main.daemon import running_pid
from ganeti.main.daemons import SERVICES, Daemons
from ganeti.main.traces import Traces
from ganeti.master import election
from ganeti.master.nodes import Caller, address_of
from ganeti.model.objects import Cluster, Node, changed, key_of
from ganeti.store.replica import LINEAGE_KEY, peek_entries
from ganeti.store.sqlite import SqliteStore
from ganeti.wire.client import NodeClient
from ganeti.wire.tls import TlsWire

NODED, MASTERD = SERVICES[:1], SERVICES[1:]
SUFFIXES: Final = ("", "-wal", "-shm")


def master_failover(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster master-failover`. Raises `Refused` with nothing changed, or `Failed`."""
    checks.root(os.geteuid(), "gnt-cluster master-failover")
    voting = not options.get("no_voting")
    asyncio.run(_with_wire(lambda here: here.take_over(voting=voting, skip_offline=options["ignore_offline_nodes"])))
    return 0


def master_ping(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster master-ping`: 0 when the master daemon answers, else 1 with the reason."""
    checks.root(os.geteuid(), "gnt-cluster master-ping")
    asyncio.run(_with_wire(lambda here: here.ping()))
    return 0


async def _with_wire(deed: Callable[[Failover], Any]) -> None:
    paths, files, runner = from_environment(), SystemFiles(), SystemRunner()
    settings = known_settings(files, paths)
    wire = TlsWire(certificate_file=paths.node_certificate, ca_file=paths.ca_certificate, connect_timeout_s=4.0)
    ids = SystemIds()
    try:
        await deed(
            Failover(
                paths=paths,
                files=files,
                runner=runner,
                clock=SystemClock(),
                ids=ids,
                settings=settings,
                caller=NodeClient(wire, cluster_uuid=settings.cluster_uuid, epoch=0, ids=ids, version=software()),
                say=_say,
            )
        )
    finally:
        await wire.close()


def known_settings(files: Files, paths: Paths) -> NodeSettings:
    """What this node knows of its cluster. `Refused` when it is in none."""
    try:
        return msgspec.json.decode(files.read(paths.node_settings), type=NodeSettings)
    except FileNotFoundError:
        raise Refused(WRONG_STATE, "this host is in no cluster, so it cannot be its master") from None
    except msgspec.MsgspecError as error:
        raise Failed(f"cannot read {paths.node_settings}: {error}") from error


class Failover:
    """Makes one node the master. `say` gets each line for the operator."""

    def __init__(
        self,
        *,
        paths: Paths,
        files: Files,
        runner: Runner,
        clock: Clock,
        ids: Ids,
        settings: NodeSettings,
        caller: Caller,
        say: Callable[[str], None],
        daemons: Daemons | None = None,
    ) -> None:
        self._paths, self._files, self._runner, self._clock, self._ids = paths, files, runner, clock, ids
        self._settings, self._caller, self._say = settings, caller, say
        self._daemons = daemons or Daemons(paths=paths, runner=runner, files=files, say=say)

    async def ping(self) -> None:
        """`Unavailable` or `Refused` when no master daemon answers."""
        settings, paths = self._settings, self._paths
        if settings.master_name == settings.node_name:
            master = Master(paths.master_socket, paths.node_settings)
            try:
                master.ping()
            finally:
                master.close()
        else:
            _, nodes = self._known(paths.replica)
            chosen = [node for node in nodes if node.name == settings.master_name]
            for answer in (await election.ask(self._caller, chosen)).values():
                if isinstance(answer, GanetiError):
                    raise answer
                if not answer.master_runs or answer.master_name != settings.master_name:
                    raise Unavailable(f"the node daemon of {settings.master_name} answers, but no master daemon does")
        self._say(f"the master {settings.master_name} answers")

    async def take_over(self, *, voting: bool, skip_offline: bool) -> None:
        """Become the master. `Refused` with nothing changed; `Failed` says what state it left."""
        me, paths = self._settings.node_name, self._paths
        again = self._settings.master_name == me and self._files.exists(paths.store)
        if again and (voting or running_pid(paths, MASTERD[0].program) is not None):
            raise Refused(WRONG_STATE, f"{me} is the master already; 'ganeti-daemons start' starts its daemons")
        source = paths.store if again else paths.replica
        cluster, nodes = self._known(source)
        own = next((node for node in nodes if node.name == me), None)
        if own is None or not own.master_candidate:
            names = ", ".join(node.name for node in nodes if node.master_candidate) or "none"
            raise Refused(WRONG_INPUT, f"{me} is no master candidate; the candidates are {names}", node=me)
        if self._files.exists(paths.ca_key) is False:
            self._say(f"warning: {paths.ca_key} is not here; as master this node could let no hosts in")
        await self._daemons.start(NODED)
        asked = [node for node in nodes if not (skip_offline and node.offline)]
        votes = await election.ask(self._caller, asked)
        self._tell(votes)
        epochs = [vote.epoch for vote in election.given(votes)]
        self._check_votes(votes, me, voting=voting)
        if not again:
            self._check_copy(votes, me)
        epoch = election.next_epoch(max(epochs, default=0))
        await self._claim(asked, votes, me, epoch, voting=voting)
        await self._daemons.stop(NODED)
        try:
            await self._become(cluster, own, epoch, again=again)
            if not voting:
                self._files.write(paths.no_vote, b"")
        finally:
            await self._daemons.start(NODED)
        self._own_address(cluster)
        await self._daemons.start(MASTERD)
        self._say(f"{me} is the master of {cluster.cluster_name}")

    def _known(self, path: str) -> tuple[Cluster, list[Node]]:
        if not self._files.exists(path):
            raise Refused(
                WRONG_INPUT,
                f"{self._settings.node_name} has no copy of the configuration: it is no master candidate. Run this on "
                f"one: {self._candidates()}",
            )
        entries = peek_entries(path)
        if "cluster" not in entries:
            raise Refused(WRONG_STATE, f"the copy of the configuration here, {path}, is empty; use another candidate")
        cluster = msgspec.json.decode(entries["cluster"], type=Cluster)
        nodes = [msgspec.json.decode(value, type=Node) for key, value in entries.items() if key.startswith("node/")]
        return cluster, sorted(nodes, key=lambda node: node.name)

    def _candidates(self) -> str:
        try:
            names = self._files.read(f"{self._paths.data}/ssconf_master_candidates").decode().split()
        except FileNotFoundError:
            return "which they are is not known here"
        return ", ".join(names)

    def _tell(self, votes: election.Votes) -> None:
        for name, vote in sorted(votes.items()):
            if isinstance(vote, Vote):
                copy = vote.store if vote.store is not None and vote.master_name == name else vote.replica
                what = f", copy of revision {copy.revision}" if copy is not None else ""
                self._say(f"{name}: obeys {vote.master_name} (epoch {vote.epoch}){what}")
            else:
                self._say(f"{name}: no answer: {vote.message}")

    def _check_votes(self, votes: election.Votes, me: str, *, voting: bool) -> None:
        if not voting:
            return
        given = election.given(votes)
        needed = election.claims_needed(len(votes))
        if len(given) < needed:
            raise Refused(
                WRONG_STATE,
                f"only {len(given)} of {len(votes)} nodes answer, and {needed} must agree; bring more of them up. If you are "
                "sure that no other master runs, say --no-voting",
            )
        masters = [vote.master_name for vote in given]
        first = max(set(masters), key=masters.count)
        if masters.count(first) < needed:
            raise Refused(
                WRONG_STATE,
                f"the nodes do not agree on who is the master: {', '.join(sorted(set(masters)))}; {needed} of {len(votes)} "
                "must. If you are sure that no other master runs, say --no-voting",
            )
        if first == me:
            self._say(f"most nodes obey {me} already: an earlier failover is finished now")

    def _check_copy(self, votes: election.Votes, me: str) -> None:
        mine = votes.get(me)
        if not isinstance(mine, Vote) or mine.replica is None:
            why = mine.message if isinstance(mine, GanetiError) else "it has none"
            raise Refused(WRONG_STATE, f"the copy of the configuration on {me} cannot be used: {why}")
        newer: dict[str, ReplicaState] = {}
        for vote in election.given(votes):
            copies = [vote.replica]
            if vote.master_name == vote.name:
                copies.append(vote.store)  # the old master is there: nothing of what it did may be lost
            for copy in copies:
                if copy is None or vote.name == me:
                    continue
                if copy.lineage == mine.replica.lineage and copy.revision > mine.replica.revision:
                    newer[vote.name] = copy
        if newer:
            best = max(newer, key=lambda name: newer[name].revision)
            raise Refused(
                WRONG_STATE,
                f"{best} has a newer configuration (revision {newer[best].revision}) than {me} "
                f"(revision {mine.replica.revision}); "
                + (
                    "wait until this copy has caught up"
                    if any(vote.name == best and vote.master_name == best for vote in election.given(votes))
                    else f"run this on {best}"
                ),
            )

    async def _claim(self, nodes: Sequence[Node], votes: election.Votes, me: str, epoch: int, *, voting: bool) -> None:
        call = MasterClaim(epoch=epoch, master_name=me)

        async def one(node: Node) -> GanetiError | None:
            said = votes[node.name]
            if isinstance(said, GanetiError):
                return said  # it was silent a moment ago; the new master tells it when it is back
            try:
                await self._caller.call(address_of(node), call)
            except (Unavailable, Failed, Refused) as error:
                return error
            return None

        answers: Mapping[str, GanetiError | None] = dict(
            zip([node.name for node in nodes], await asyncio.gather(*map(one, nodes)), strict=True)
        )
        granted = [name for name, error in answers.items() if error is None]
        needed = election.claims_needed(len(nodes))
        if me not in granted or (voting and len(granted) < needed):
            told = "; ".join(f"{name}: {error.message}" for name, error in answers.items() if error is not None)
            raise Failed(
                f"only {len(granted)} of {len(nodes)} nodes accepted {me} as master, and {needed} must ({told}); run this "
                "again, or restart ganeti-masterd on the old master to undo it"
            )
        self._say(f"{len(granted)} of {len(nodes)} nodes obey {me} now, with epoch {epoch}")

    async def _become(self, cluster: Cluster, own: Node, epoch: int, *, again: bool) -> None:
        """Make the copy the store, with a history of its own from here on."""
        paths, files = self._paths, self._files
        if not again:
            # Opened and closed once: what is in its log goes into the file.
            await (await SqliteStore.open(paths.replica, create=False)).close()
            for suffix in SUFFIXES:
                if files.exists(f"{paths.store}{suffix}"):
                    files.rename(f"{paths.store}{suffix}", f"{paths.store}.before-{epoch}{suffix}")
            files.rename(paths.replica, paths.store)
        store = await SqliteStore.open(paths.store, create=False)
        try:
            now_s = self._clock.now_s()
            put = [changed(cluster, now_s, master_node=own.uuid)]
            values = {key_of(each): msgspec.json.encode(each) for each in put}
            values |= {"epoch": str(epoch).encode(), LINEAGE_KEY: self._ids.uuid().encode()}
            await store.commit(Txn(put=values))
        finally:
            await store.close()
        settings = known_settings(files, paths)
        settings = msgspec.structs.replace(settings, master_name=own.name)
        files.write(paths.node_settings, msgspec.json.format(msgspec.json.encode(settings)))

    def _own_address(self, cluster: Cluster) -> None:
        """Let the start of the master daemon set the address of the cluster up here, as after init."""
        traces = Traces(files=self._files, runner=self._runner, paths=self._paths)
        traces.load()
        traces.record_on_disk()
        traces.expect_address(cluster.master_ip, cluster.master_netmask, cluster.master_netdev)


def _say(line: str) -> None:
    print(line, flush=True)

"""`gnt-cluster init` and `gnt-cluster destroy`: make a cluster of this one host, and take it away again.

Init looks (`detect`), decides (`checks`, `blueprint`) and only then makes; everything it makes is recorded before
it is made (`traces`), so that a failure, an interruption and a later destroy undo exactly that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ganeti.base.clock import Clock, SystemClock
from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, GanetiError, Refused, Unavailable
from ganeti.base.files import Files, SystemFiles
from ganeti.base.ids import Ids, SystemIds
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner
from ganeti.client.master import Master
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import ABSENT, Txn
from ganeti.main import checks, own_hooks
from ganeti.main.blueprint import Blueprint, draw, ip_family
from ganeti.main.catalog import build_catalog
from ganeti.main.daemon import running_pid
from ganeti.main.daemons import SERVICES, Daemons
from ganeti.main.detect import Detector, Names, SystemNames, files_below, member_of, own_name
from ganeti.main.traces import Traces, remove_tree
from ganeti.model.names import checked_host
from ganeti.model.objects import Cluster, key_of
from ganeti.model.traits import Catalog
from ganeti.store.sqlite import SqliteStore
from ganeti.wire import certificates

HOSTS_FILE: Final = "/etc/hosts"

_SPARED: Final = frozenset({checks.RECORD, "rapi"})
"""In the data directory: what the record still has to tell, and the users that the operator entered."""


def init(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster init NAME`. `options`: parsed values by long name with `_` for `-` (spec: cli).

    Raises `Refused` with nothing changed, or `Failed` with everything undone.
    """
    checks.root(os.geteuid(), "gnt-cluster init")
    if len(arguments) != 1:
        raise Refused(WRONG_INPUT, "gnt-cluster init needs one argument, the name of the cluster")
    asyncio.run(_this_host().init(options, arguments[0]))
    return 0


def destroy(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster destroy --yes-do-it`. Raises `Refused` with nothing changed, or `Failed` saying what stayed."""
    checks.root(os.geteuid(), "gnt-cluster destroy")
    if arguments:
        raise Refused(WRONG_INPUT, "gnt-cluster destroy takes no arguments")
    asyncio.run(_this_host().destroy(confirmed=bool(options.get("yes_do_it"))))
    return 0


def _this_host() -> Bootstrap:
    paths = from_environment()
    return Bootstrap(
        paths=paths,
        home=paths.root + (os.path.expanduser("~root") if paths.root == "" else "/root"),
        files=SystemFiles(),
        runner=SystemRunner(),
        clock=SystemClock(),
        ids=SystemIds(),
        names=SystemNames(),
        host_name=own_name(),
        catalog=build_catalog()[0],
        say=print,
    )


class Bootstrap:
    """Begins and ends the cluster of one host. `say` gets each line for the operator; `home` is root's."""

    def __init__(
        self,
        *,
        paths: Paths,
        home: str,
        files: Files,
        runner: Runner,
        clock: Clock,
        ids: Ids,
        names: Names,
        host_name: str,
        catalog: Catalog,
        say: Callable[[str], None],
        daemons: Daemons | None = None,
        uid: int = 0,
    ) -> None:
        self._paths, self._home = paths, home
        self._files, self._runner, self._clock, self._ids = files, runner, clock, ids
        self._catalog, self._say = catalog, say
        self._daemons = daemons or Daemons(paths=paths, runner=runner, files=files, say=say)
        self._detector = Detector(runner=runner, files=files, names=names, paths=paths, uid=uid, host_name=host_name)
        self._traces = Traces(files=files, runner=runner, paths=paths)

    async def init(self, options: Mapping[str, Any], name: str) -> None:
        """See the function of that name."""
        begin_s = self._clock.now_s()
        name = checked_host(name, what="cluster name")
        plan = draw(
            options,
            name,
            facts=await self._detector.look(name, ip_family(options)),
            catalog=self._catalog,
            ids=self._ids,
            now_s=self._clock.now_s(),
            root=self._paths.root,
        )
        for line in plan.detected:
            self._say(line)
        try:
            await self._make(plan)
        except BaseException as error:
            await self._take_back(error)
            raise
        self._say(
            f"cluster {plan.cluster.cluster_name} ({plan.cluster.master_ip}) is up on {plan.node.name} after "
            f"{self._clock.now_s() - begin_s:.1f} s"
        )
        await self._hooks("cluster-init", "OP_CLUSTER_POST_INIT", plan.cluster.cluster_name)
        self._say("next: 'gnt-node list', 'gnt-os list', 'gnt-cluster info', 'gnt-instance add --help'")

    async def destroy(self, *, confirmed: bool) -> None:
        """See the function of that name."""
        recorded = self._traces.load()
        if not recorded and not self._files.exists(self._paths.node_settings):
            strangers = files_below(self._files, self._paths.data)
            raise Refused(
                WRONG_STATE,
                "this host is in no cluster"
                + (
                    f"; the files below {self._paths.data} are not of one that 'gnt-cluster init' made"
                    * bool(strangers)
                ),
            )
        if not confirmed:
            raise Refused(
                WRONG_INPUT,
                f"this removes {self._what()} from this host, with its configuration and its jobs; "
                "say --yes-do-it if that is what you want",
            )
        self._refuse_unless_empty(*self._ask_master())
        ran = running_pid(self._paths, SERVICES[1].program) is not None
        await self._daemons.stop(SERVICES[1:])
        try:
            # Once more, now that nobody can add anything.
            self._refuse_unless_empty(*await self._ask_store())
        except Refused:
            if ran:
                await self._daemons.start(SERVICES[1:])
            raise
        what = self._what()
        if (name := member_of(self._files, self._paths)) is not None:
            await self._hooks("cluster-destroy", "OP_CLUSTER_DESTROY", name)
        await self._daemons.stop(SERVICES[:1])
        self._clear()
        stayed = await self._traces.undo(destroyed=True)
        self._files.remove(self._traces.path)
        self._say(f"{what} is gone")
        for path in stayed:
            self._say(f"kept: {path}")

    async def _make(self, plan: Blueprint) -> None:
        cluster, node = plan.cluster, plan.node
        self._make_directories(cluster)
        now_s = self._clock.now_s()
        authority = certificates.make_ca(
            cluster_name=cluster.cluster_name, serial=certificates.fresh_serial(self._ids), now_s=now_s
        )
        own = certificates.make_node(
            authority,
            node_name=node.name,
            addresses=sorted({node.primary_ip, node.secondary_ip}),
            serial=certificates.fresh_serial(self._ids),
            now_s=now_s,
        )
        fingerprint = certificates.fingerprint(own.certificate)
        node = msgspec.structs.replace(node, certificate=fingerprint)
        settings = NodeSettings(
            cluster_uuid=cluster.uuid,
            cluster_name=cluster.cluster_name,
            node_uuid=node.uuid,
            node_name=node.name,
            master_name=node.name,
            host=node.primary_ip,
            port=node.port,
            callers=(fingerprint,),
            file_storage_dirs=(cluster.file_storage_dir, cluster.shared_file_storage_dir),
        )
        self._traces.write_file(self._paths.ca_certificate, authority.certificate, mode=0o644)
        self._traces.write_file(self._paths.ca_key, authority.key)
        self._traces.write_file(self._paths.node_certificate, own.pem)
        self._traces.expect_file(self._paths.store)
        await self._store(msgspec.structs.replace(plan, node=node))
        await self._set_up_ssh(cluster)
        if cluster.modify_etc_hosts:
            self._enter_into_hosts(node.name, node.primary_ip)
        await self._traces.add_address(cluster.master_ip, cluster.master_netmask, cluster.master_netdev)
        # The settings come last: with them the host is in a cluster.
        self._traces.write_file(self._paths.node_settings, msgspec.json.format(msgspec.json.encode(settings)))
        await self._daemons.start(SERVICES)

    def _make_directories(self, cluster: Cluster) -> None:
        paths, traces = self._paths, self._traces
        traces.make_directory(paths.data, 0o750, whole=True)
        traces.record_on_disk()
        traces.make_directory(paths.log, 0o750, kept=True)
        traces.make_directory(paths.run, 0o755, whole=True)
        traces.make_directory(f"{paths.run}/socket", 0o750, whole=True)
        traces.make_directory(paths.etc, 0o755)
        traces.make_directory(paths.os_search_path[0], 0o755)
        traces.make_directory(f"{paths.root}/srv/ganeti/export", 0o750)
        for directory in (cluster.file_storage_dir, cluster.shared_file_storage_dir):
            traces.make_directory(directory, 0o750)

    async def _store(self, plan: Blueprint) -> None:
        entries = {key_of(each): msgspec.json.encode(each) for each in (plan.cluster, plan.group, plan.node)}
        store = await SqliteStore.open(self._paths.store, create=True)
        try:
            await store.commit(Txn(expect=dict.fromkeys(entries, ABSENT), put=entries))
        finally:
            await store.close()

    async def _set_up_ssh(self, cluster: Cluster) -> None:
        if not cluster.modify_ssh_setup:
            return
        directory = f"{self._home}/.ssh"
        key = f"{directory}/id_{cluster.ssh_key_type}"
        self._traces.make_directory(directory, 0o700, kept=True)
        if not self._files.exists(f"{key}.pub"):
            self._traces.expect_file(key, kept=True)
            self._traces.expect_file(f"{key}.pub", kept=True)
            words = [
                "ssh-keygen",
                "-q",
                "-t",
                cluster.ssh_key_type,
                "-b",
                str(cluster.ssh_key_bits),
                "-N",
                "",
                "-f",
                key,
            ]
            try:
                done = await self._runner.run(words, timeout_s=120)
            except Failed as error:
                self._say(f"no ssh key for root: {error.message}; install openssh-client, or say --no-ssh-init")
                return
            done.expect_success("make an ssh key for root")
            self._say(f"ssh key for root made: {key}")
        public = self._files.read(f"{key}.pub").decode(errors="replace").strip()
        keys = f"{directory}/authorized_keys"
        if not self._files.exists(keys) or public not in self._files.read(keys).decode(errors="replace").splitlines():
            self._traces.add_line(keys, public, mode=0o600)

    def _enter_into_hosts(self, name: str, address: str) -> None:
        try:
            content = self._files.read(HOSTS_FILE).decode(errors="replace")
        except FileNotFoundError:
            content = ""
        if not any(name in line.split("#", 1)[0].split()[1:] for line in content.splitlines()):
            self._traces.add_line(HOSTS_FILE, f"{address} {name} {name.partition('.')[0]}")
            self._say(f"{HOSTS_FILE}: entry for {name} added")

    async def _take_back(self, why: BaseException) -> None:
        try:
            await self._daemons.stop(SERVICES, idle_is_news=False)
            self._clear()
            await self._traces.undo(destroyed=False)
            self._files.remove(self._traces.path)
        except (GanetiError, OSError) as error:
            raise Failed(
                f"{why}; and taking back what was made so far failed too: {error}; "
                "'gnt-cluster destroy --yes-do-it' tries again"
            ) from why
        self._say("everything that was made so far has been taken back")

    async def _hooks(self, path: str, op_code: str, cluster_name: str) -> None:
        """Run the operator's scripts of phase post here; they are told, and change nothing."""
        failed = await own_hooks.run(
            paths=self._paths,
            files=self._files,
            runner=self._runner,
            clock=self._clock,
            directory=f"{path}-post.d",
            path=path,
            object_type="CLUSTER",
            more={"OP_CODE": op_code, "OP_TARGET": cluster_name},
        )
        for result in failed:
            self._say(f"hook {result.script} failed: {' '.join(result.output.split())}")

    def _what(self) -> str:
        name = member_of(self._files, self._paths)
        return f"cluster {name}" if name is not None else "what an interrupted init left"

    def _ask_master(self) -> tuple[list[str], list[str]]:
        """Names of instances and nodes, or none when the master does not run."""
        if running_pid(self._paths, SERVICES[1].program) is None:
            return [], []
        master = Master(self._paths.master_socket, self._paths.node_settings)
        try:
            return [row[0] for row in master.values("instance", ["name"])], [
                row[0] for row in master.values("node", ["name"])
            ]
        except Unavailable:
            return [], []  # the store is asked next
        finally:
            master.close()

    async def _ask_store(self) -> tuple[list[str], list[str]]:
        """Names of instances and nodes, or none when init never came that far."""
        if not self._files.exists(self._paths.store):
            return [], []
        store = await SqliteStore.open(self._paths.store, create=False)
        try:
            snapshot = await store.read()
        finally:
            await store.close()
        return (
            _names(entry.value for key, entry in snapshot.entries.items() if key.startswith("instance/")),
            _names(entry.value for key, entry in snapshot.entries.items() if key.startswith("node/")),
        )

    def _refuse_unless_empty(self, instances: list[str], nodes: list[str]) -> None:
        if instances:
            raise Refused(
                WRONG_STATE,
                f"the cluster has {_count(instances, 'instance')}; remove them with 'gnt-instance remove' first",
                instances=instances,
            )
        if len(nodes) > 1:
            raise Refused(
                WRONG_STATE,
                f"the cluster has {_count(nodes, 'node')}; remove the others with 'gnt-node remove' first",
                nodes=nodes,
            )

    def _clear(self) -> None:
        """Remove what the daemons made; there was nothing before init, or it would have refused."""
        for directory in (self._paths.run, self._paths.data):
            for name in self._files.list_dir(directory):
                if name not in _SPARED:
                    remove_tree(self._files, f"{directory}/{name}")


def _names(values: Any) -> list[str]:
    return sorted(str(msgspec.json.decode(value)["name"]) for value in values)


def _count(names: list[str], what: str) -> str:
    return f"{len(names)} {what}{'s' * (len(names) != 1)} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"

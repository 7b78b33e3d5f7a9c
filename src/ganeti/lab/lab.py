"""Labs: several hosts on one machine, made of namespaces. What the command `ganeti-lab` and the tests use.

with Lab(nodes=3) as lab:
    lab.host("node1").run(["gnt-cluster", "init", "cluster.lab.example"])
    lab.kill("node2")
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from ganeti.base.errors import ENVIRONMENT, WRONG_INPUT, WRONG_STATE, Failed, Refused
from ganeti.base.processes import last_lines
from ganeti.lab import groups, keeper, loops
from ganeti.lab.boot import BootHost, BootOrder, Word
from ganeti.lab.disk import SSHD_SEARCH_PATH
from ganeti.lab.host import Host, inside_network
from ganeti.lab.network import drop_script, remove_script, unplug_script
from ganeti.lab.plan import HostPlan, LabPlan, draw
from ganeti.lab.record import BASE, Direction, HostState, LabState, Process, Record

KEEPER_WITHIN_S: Final = 30.0
BOOT_WITHIN_S: Final = 60.0
DAEMONS_WITHIN_S: Final = 300.0
END_WITHIN_S: Final = 30.0

_NEEDED: Final = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux"}
"""Commands, and the Debian packages that have them."""


class Lab:
    """One lab by its name. As a context manager it is brought up, and in any case taken down."""

    def __init__(
        self,
        nodes: int = 3,
        *,
        name: str = "lab",
        domain: str = "lab.example",
        secondary: bool = False,
        shared_storage: bool = False,
        kvm: bool = True,
        base: Path = BASE,
    ) -> None:
        """Nothing is made before `up`; for a lab that is up already only `name` matters.

        `secondary`: each host has a second network card, `eth1`, on a network of its own. `shared_storage`:
        /srv/ganeti/shared-file-storage is one directory for all. `kvm`: whether hosts see /dev/kvm.
        """
        self.name = name
        self._record = Record(name, base=base)
        self._nodes, self._domain = nodes, domain
        self._secondary, self._shared_storage, self._kvm = secondary, shared_storage, kvm

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Make all hosts and switch them on; returns when programs can be run in them.

        `Refused` when this machine cannot or the name is in use; after `Failed` nothing is left.
        """
        _check_machine()
        with self._record.create() as number:
            try:
                self._up(number)
            except BaseException:
                self._remove()
                raise

    def down(self) -> None:
        """Take everything away: processes, namespaces, mounts, interfaces, control groups, files. Harmless again."""
        _check_root()
        if not self._record.exists():
            self._end_processes(None)  # a crash may have left some
            groups.remove_lab(self.name)
            return
        with self._record.locked():
            self._remove()

    def state(self) -> LabState:
        """What is written down. `Refused` when there is no such lab."""
        return self._record.load()

    @property
    def plan(self) -> LabPlan:
        """Names and addresses."""
        return self.state().plan

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts in order."""
        return tuple(Host(self._record, plan) for plan in self.plan.hosts)

    def host(self, name: str) -> Host:
        """One host by its short or full name."""
        return Host(self._record, self.plan.host(name))

    def kill(self, *names: str) -> None:
        """Power failure: the cables go silent, then every process of the host dies at once. The disk stays."""
        self._mutable()
        with self._record.locked():
            state = self.state()
            for host in _named(state.plan, names):
                first = state.hosts[host.name].first
                if first is None or not first.alive():
                    raise Refused(WRONG_STATE, f"{host.name} is off already")
            for host in _named(state.plan, names):
                state = self._power_off(state, host)

    def start(self, *names: str) -> dict[str, str]:
        """Boot hosts that are off, from their disks; daemons of the cluster are started as by an init script.

        Returns what `ganeti-daemons start` said on each. `Failed` when it did not work; the host is on then.
        """
        self._mutable()
        with self._record.locked():
            state = self.state()
            hosts = _named(state.plan, names)
            for host in hosts:
                if state.hosts[host.name].running():
                    raise Refused(WRONG_STATE, f"{host.name} is on already")
            return self._boot(state, hosts)

    def partition(self, *names: str, inward: bool = True, outward: bool = True) -> None:
        """Cut hosts off: what comes to them vanishes, what leaves them, or both. The link stays up.

        It lasts until `heal`, through power failures too. What an earlier partition cut stays cut.
        """
        asked: list[tuple[Direction, bool]] = [("in", inward), ("out", outward)]
        self._mutable()
        with self._record.locked():
            for host in _named(self.plan, names):
                for direction, wanted in asked:
                    if wanted:
                        self._cut(host, direction, cut=True)

    def heal(self, *names: str) -> None:
        """End the partitions of these hosts."""
        self._mutable()
        with self._record.locked():
            for host in _named(self.plan, names):
                for direction in self.state().hosts[host.name].cut:
                    self._cut(host, direction, cut=False)

    def on_fabric(self, argv: Iterable[str], *, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine in the network between the hosts, as 10.77.N.254: a client from outside."""
        return subprocess.run(
            [*inside_network(self._keeper(self.state())), *argv], text=True, capture_output=True, timeout=timeout_s
        )

    def _mutable(self) -> None:
        _check_root()
        self._keeper(self.state())

    def _keeper(self, state: LabState) -> int:
        if state.keeper is None or not state.keeper.alive():
            raise Refused(
                WRONG_STATE,
                f"the lab {self.name} is dead (its first process ended, or this machine was rebooted); "
                f"'ganeti-lab down --name {self.name}' removes what is left",
            )
        return state.keeper.pid

    def _up(self, number: int) -> None:
        plan = draw(
            name=self.name,
            nodes=self._nodes,
            domain=self._domain,
            number=number,
            secondary=self._secondary,
            shared_storage=self._shared_storage,
            kvm=self._kvm,
        )
        state = LabState(plan=plan, number=number, hosts={host.name: HostState() for host in plan.hosts})
        self._record.save(state)
        _, notes = groups.usable(self.name)
        for place in ("disk", "root", "srv"):
            for host in plan.hosts:
                (self._record.host(host.name) / place).mkdir(parents=True)
        self._record.shared.mkdir()
        notes += self._make_keys(plan)
        state = msgspec.structs.replace(state, notes=tuple(notes), keeper=self._start_keeper(plan))
        self._record.save(state)
        self._boot(state, plan.hosts)

    def _make_keys(self, plan: LabPlan) -> list[str]:
        """One key for root on all hosts, and one for each host's sshd; or the sentence on why there is no ssh."""
        missing = [
            package
            for package, program, path in (
                ("openssh-server", "sshd", SSHD_SEARCH_PATH),
                ("openssh-client", "ssh-keygen", None),
            )
            if shutil.which(program, path=path) is None
        ]
        if missing:
            return [f"no ssh between the hosts: {' and '.join(missing)} is not installed"]
        self._record.keys.mkdir()
        makers = [
            subprocess.Popen(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(self._record.keys / name)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name, comment in [
                ("lab", f"root@{plan.domain}"),
                *((host.name, f"root@{host.fqdn}") for host in plan.hosts),
            ]
        ]
        for maker in makers:
            _, said = maker.communicate(timeout=BOOT_WITHIN_S)
            if maker.returncode != 0:
                raise Failed(f"ssh-keygen makes no key: {said.strip()}")
        return []

    def _start_keeper(self, plan: LabPlan) -> Process:
        log = self._record.directory / "keeper.log"
        with log.open("wb") as errors:
            starter = subprocess.Popen(
                [sys.executable, "-P", "-m", "ganeti.lab.keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                pass_fds=self._inherited_lock(),
            )
        said, _ = starter.communicate(msgspec.json.encode(plan), timeout=KEEPER_WITHIN_S)
        pids = [line.removeprefix(keeper.STARTED) for line in said.splitlines() if line.startswith(keeper.STARTED)]
        if keeper.READY not in said.splitlines() or len(pids) != 1:
            raise Failed(f"the first process of the lab does not start: {last_lines(log.read_text())}")
        return Process.of(int(pids[0]))

    def _boot(self, state: LabState, hosts: Iterable[HostPlan]) -> dict[str, str]:
        """Switch on; what `ganeti-daemons start` said on each. `Failed` names every host that did not come up."""
        channels: dict[str, socket.socket] = {}
        theirs: list[socket.socket] = []
        orders: list[BootHost] = []
        for host in hosts:
            ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            channels[host.name] = ours
            theirs.append(other)
            orders.append(BootHost(name=host.name, channel=other.fileno(), cut=state.hosts[host.name].cut))
        order = BootOrder(
            plan=state.plan,
            directory=str(self._record.directory),
            keeper_pid=self._keeper(state),
            programs=os.path.dirname(sys.executable),
            keys=str(self._record.keys) if self._record.keys.exists() else None,
            hosts=tuple(orders),
        )
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "ganeti.lab.boot"],
                input=msgspec.json.encode(order),
                pass_fds=[*self._inherited_lock(), *(other.fileno() for other in theirs)],
                capture_output=True,
                timeout=BOOT_WITHIN_S,
                cwd="/",
            )
            for other in theirs:
                other.close()
            if done.returncode != 0:
                raise Failed(f"the hosts cannot be switched on: {last_lines(done.stderr.decode(errors='replace'))}")
            return self._hear(state, channels)
        finally:
            for each in [*channels.values(), *theirs]:
                each.close()

    def _inherited_lock(self) -> list[int]:
        """If this process is killed, a 'down' right after it waits until the programs it has started are through."""
        return [] if self._record.lock_handle is None else [self._record.lock_handle]

    def _hear(self, state: LabState, channels: dict[str, socket.socket]) -> dict[str, str]:
        """Listen to the hosts until each has booted; write down who they are as soon as they are ready."""
        problems: dict[str, str] = {}
        words: dict[str, str] = {}
        pending = set(channels)
        unready = set(channels)
        deadline_s = time.monotonic() + BOOT_WITHIN_S
        with selectors.DefaultSelector() as selector:
            for name, channel in channels.items():
                selector.register(channel, selectors.EVENT_READ, name)
            while pending:
                ready = selector.select(max(0.0, deadline_s - time.monotonic()))
                if not ready:
                    problems |= dict.fromkeys(pending, "it did not boot in time")
                    break
                for key, _ in ready:
                    name = key.data
                    sender, word = _receive(channels[name])
                    match word.event:
                        case "born":
                            state = _with_first(state, name, sender)
                        case "ready":
                            unready.discard(name)
                            if not unready:
                                self._record.save(state)
                                deadline_s = time.monotonic() + DAEMONS_WITHIN_S
                        case "failed":
                            problems[name] = word.text
                        case "booted" if word.status not in (0, None):
                            problems[name] = f"the host is on, but 'ganeti-daemons start' failed: {word.text}"
                        case "booted":
                            words[name] = word.text
                    if word.event in ("failed", "booted"):
                        pending.discard(name)
                        selector.unregister(channels[name])
        self._record.save(state)
        if problems:
            raise Failed("; ".join(f"{name}: {problem}" for name, problem in sorted(problems.items())))
        return words

    def _power_off(self, state: LabState, host: HostPlan) -> LabState:
        first = state.hosts[host.name].first
        self._in_fabric(state, ["ip", "-batch", "-"], unplug_script(host))
        loops_of_host = self._loops(state, [host])
        if first is not None:
            first.kill(within_s=END_WITHIN_S)
        loops.free(loops_of_host)
        # The kernel may have taken the cables away with the host's network, and may be just about to.
        self._in_fabric(state, ["ip", "-force", "-batch", "-"], remove_script(host), may_fail=True)
        off = msgspec.structs.replace(state.hosts[host.name], first=None)
        state = msgspec.structs.replace(state, hosts=state.hosts | {host.name: off})
        self._record.save(state)
        return state

    def _loops(self, state: LabState, hosts: Iterable[HostPlan]) -> list[loops.Loop]:
        """The loop devices over files of these hosts: on their disks and in their memory while they are on, in srv."""
        memory: set[tuple[int, int]] = set()
        for host in hosts:
            first = state.hosts[host.name].first
            if first is not None and first.alive():
                memory |= loops.memory_file_systems(Path(f"/proc/{first.pid}/mountinfo").read_text())
                # What is on the host's own disk has a device number that no mount shows: ask a file that is there.
                written = os.stat(f"/proc/{first.pid}/root/etc/hostname").st_dev
                memory.add((os.major(written), os.minor(written)))
        srv = [self._record.host(host.name) / "srv" for host in hosts]
        return loops.over(loops.in_use(), memory=memory, directories=srv)

    def _cut(self, host: HostPlan, direction: Direction, *, cut: bool) -> None:
        state = self.state()
        before = state.hosts[host.name]
        if (direction in before.cut) == cut:
            return
        directions = {*before.cut, direction} if cut else set(before.cut) - {direction}
        after = msgspec.structs.replace(before, cut=tuple(sorted(directions)))
        if before.running():
            assert before.first is not None
            if direction == "in":
                script = drop_script([cable.port for cable in host.cables], drop=cut)
                self._in_fabric(state, ["tc", "-batch", "-"], script)
            else:
                script = drop_script([cable.device for cable in host.cables], drop=cut)
                _fed([*inside_network(before.first.pid), "tc", "-batch", "-"], script)
        self._record.save(msgspec.structs.replace(state, hosts=state.hosts | {host.name: after}))

    def _in_fabric(self, state: LabState, argv: list[str], script: str, *, may_fail: bool = False) -> None:
        _fed([*inside_network(self._keeper(state)), *argv], script, may_fail=may_fail)

    def _remove(self) -> None:
        """All of it, from whatever state."""
        try:
            state = self.state()
        except (Failed, Refused):
            state = None  # unreadable or never written: the control groups know the processes
        left = [] if state is None else self._loops(state, state.plan.hosts)
        left += loops.over(loops.in_use(), memory=set(), directories=[self._record.shared])
        self._end_processes(state)
        loops.free(left)
        groups.remove_lab(self.name)
        shutil.rmtree(self._record.directory)
        try:
            self._record.base.rmdir()
        except OSError:
            if not os.listdir(self._record.base):
                raise  # otherwise another lab is in it

    def _end_processes(self, state: LabState | None) -> None:
        if state is not None and state.keeper is not None:
            state.keeper.kill(within_s=END_WITHIN_S)
        deadline_s = time.monotonic() + END_WITHIN_S
        while left := groups.pids(self.name) - {os.getpid()}:
            if time.monotonic() > deadline_s:
                raise Failed(f"these processes of the lab {self.name} cannot be ended: {sorted(left)}")
            for pid in left:
                try:
                    Process.of(pid).kill(within_s=1.0)
                except ProcessLookupError:
                    continue
            time.sleep(0.002)


def _receive(channel: socket.socket) -> tuple[int, Word]:
    """The pid of the sender as this machine counts, and what it says. A closed channel is a failure."""
    data, credentials, _, _ = channel.recvmsg(65536, socket.CMSG_SPACE(struct.calcsize("3i")))
    if not data:
        return 0, Word(event="failed", text="its first process ended")
    return struct.unpack("3i", credentials[0][2])[0], msgspec.json.decode(data, type=Word)


def _with_first(state: LabState, name: str, pid: int) -> LabState:
    try:
        host = msgspec.structs.replace(state.hosts[name], first=Process.of(pid))
    except ProcessLookupError:
        return state  # it has ended already, and its next word says why
    return msgspec.structs.replace(state, hosts=state.hosts | {name: host})


def _fed(argv: list[str], script: str, *, may_fail: bool = False) -> None:
    done = subprocess.run(argv, input=script, text=True, capture_output=True, timeout=END_WITHIN_S)
    if done.returncode != 0 and not may_fail:
        raise Failed(f"{' '.join(argv)} failed: {last_lines(done.stderr)}")


def _named(plan: LabPlan, names: Iterable[str]) -> list[HostPlan]:
    hosts = [plan.host(name) for name in dict.fromkeys(names)]
    if not hosts:
        raise Refused(WRONG_INPUT, "name at least one host")
    return hosts


def _check_root() -> None:
    if os.geteuid() != 0:
        raise Refused(ENVIRONMENT, "a lab is made of namespaces and mounts, which takes root: sudo ganeti-lab ...")


def _check_machine() -> None:
    _check_root()
    missing = sorted({package for command, package in _NEEDED.items() if shutil.which(command) is None})
    if missing:
        raise Refused(ENVIRONMENT, f"a lab needs the packages {', '.join(missing)}, which are not installed here")

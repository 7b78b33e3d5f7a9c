"""Switch hosts on: join the keeper's namespaces, give each host its control group, network and disk, start its first process.

A program of its own, so that nothing of the caller (threads, open files, a test's memory) lives on in a host.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec

from ganeti.lab import disk, groups, init, kernel
from ganeti.lab.network import drop_script, host_script, plug_script, remove_script
from ganeti.lab.plan import HostPlan, LabPlan
from ganeti.lab.record import Direction

DISK_FILLED: Final = "filled"

_MOST_HANDLES: Final = 1024


class BootHost(msgspec.Struct, frozen=True, kw_only=True):
    """One host to switch on. `channel` is a socket whose other end hears its words."""

    name: str
    channel: int
    cut: tuple[Direction, ...] = ()
    """A partition outlasts a power failure."""


class BootOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What this program reads from standard input."""

    plan: LabPlan
    directory: str
    keeper_pid: int
    programs: str
    keys: str | None
    hosts: tuple[BootHost, ...]


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says while it boots. Its first process says `born` itself, so that the kernel tells who it is.

    `ready`: programs can be run in it. `failed`: it will not be. `booted`: what starts at boot was started, with its
    exit status, or None when there was nothing to start.
    """

    event: Literal["born", "ready", "failed", "booted"]
    text: str = ""
    status: int | None = None


def main() -> int:
    """Start all hosts of the order side by side; each speaks for itself from then on."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=BootOrder)
    trees = [tree for tree in groups.here() if tree.group(order.plan.name).exists()]
    handles = {
        namespace: os.open(f"/proc/{order.keeper_pid}/ns/{kind}", os.O_RDONLY)
        for kind, namespace in (
            ("pid", kernel.NEW_PROCESSES),
            ("net", kernel.NEW_NETWORK),
            ("mnt", kernel.NEW_MOUNTS),
        )
    }
    for namespace, handle in handles.items():
        kernel.enter(handle, namespace)
        os.close(handle)
    children = []
    for host in order.hosts:
        pid = os.fork()
        if pid == 0:
            _be_host(order, host, trees)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)  # it ends as soon as the first process of its host is there
    return 0


def _be_host(order: BootOrder, asked: BootHost, trees: list[groups.Hierarchy]) -> NoReturn:
    # The channels of other hosts, and the lock of the lab: they must not stay open for as long as this host lives.
    os.closerange(3, asked.channel)
    os.closerange(asked.channel + 1, _MOST_HANDLES)
    channel = socket.socket(fileno=asked.channel)
    try:
        os.setsid()
        _switch_on(order, asked, trees, channel)
    except OSError as error:
        say(channel, Word(event="failed", text=error.strerror or str(error)))
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()
        say(channel, Word(event="failed", text=f"{' '.join(error.cmd)}: {said}"))
    os._exit(0)


def _switch_on(order: BootOrder, asked: BootHost, trees: list[groups.Hierarchy], channel: socket.socket) -> None:
    host = order.plan.host(asked.name)
    directory = Path(order.directory, host.name)
    _log_to(directory / "console.log")
    groups.make_for_host(trees, order.plan.name, host.name)
    groups.join_top(trees, order.plan.name, host.name)
    _disk(order, host, directory)
    _network(host, asked.cut)
    kernel.unshare(
        kernel.NEW_MOUNTS | kernel.NEW_NAMES | kernel.NEW_IPC | kernel.NEW_PROCESSES | kernel.NEW_CONTROL_GROUPS
    )
    groups.join(trees, order.plan.name, host.name)
    if os.fork():
        return
    say(channel, Word(event="born"))

    # The socket is open in nothing that the host runs; it closes when the last word is said.
    def booted(status: int | None, text: str) -> None:
        say(channel, Word(event="booted", status=status, text=text))
        channel.close()

    init.run(
        order.plan,
        host,
        directory=directory,
        shared=Path(order.directory, "shared"),
        trees=trees,
        code=(sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), order.programs),
        ready=lambda: say(channel, Word(event="ready")),
        booted=booted,
    )


def _disk(order: BootOrder, host: HostPlan, directory: Path) -> None:
    """The host's own layer: memory that belongs to the keeper's mounts, so that it outlives the host."""
    mounted = directory / "disk"
    if not os.path.ismount(mounted):
        kernel.mount("disk", str(mounted), "tmpfs", options="mode=755")
    if not (mounted / DISK_FILLED).exists():
        disk.fill(
            mounted,
            order.plan,
            host,
            keys=Path(order.keys) if order.keys else None,
            programs=Path(order.programs),
        )
        (mounted / DISK_FILLED).touch()


def _network(host: HostPlan, cut: tuple[Direction, ...]) -> None:
    fabric = os.open("/proc/self/ns/net", os.O_RDONLY)
    path = f"/proc/self/fd/{fabric}"
    in_fabric = ["nsenter", f"--net={path}", "--"]
    # The other ends of an earlier life go when the kernel gets to it, which may be later than now.
    subprocess.run(["ip", "-force", "-batch", "-"], input=remove_script(host), text=True, capture_output=True)
    kernel.unshare(kernel.NEW_NETWORK)
    _batch(["ip", "-batch", "-"], host_script(host, path), fabric)
    if "in" in cut:
        _batch([*in_fabric, "tc", "-batch", "-"], drop_script([cable.port for cable in host.cables], drop=True), fabric)
    if "out" in cut:
        _batch(["tc", "-batch", "-"], drop_script([cable.device for cable in host.cables], drop=True), fabric)
    _batch([*in_fabric, "ip", "-batch", "-"], plug_script(host), fabric)
    os.close(fabric)


def _batch(argv: list[str], script: str, handle: int) -> None:
    subprocess.run(argv, input=script, text=True, capture_output=True, check=True, pass_fds=[handle])


def _log_to(path: Path) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for handle, standard in ((null, 0), (log, 1), (log, 2)):
        os.dup2(handle, standard)
    for handle in (null, log):
        os.close(handle)


def say(channel: socket.socket, word: Word) -> None:
    """Send a word to whoever switched the host on; nobody may be listening any more."""
    try:
        channel.send(msgspec.json.encode(word))
    except BrokenPipeError:
        print(f"nobody heard: {word}")


if __name__ == "__main__":
    sys.exit(main())

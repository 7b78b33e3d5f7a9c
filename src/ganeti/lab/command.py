"""`ganeti-lab`: make hosts on this machine, run commands in them, pull their plugs and cables, take all away."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from ganeti.base.errors import WRONG_INPUT, GanetiError, Refused
from ganeti.base.paths import Paths
from ganeti.lab.host import ENVIRONMENT, Host
from ganeti.lab.lab import Lab
from ganeti.lab.plan import CLUSTER_NAMES, INSTANCE_NAMES
from ganeti.lab.record import HostState, names

NAME_VARIABLE: Final = "GANETI_LAB"
EXIT_FAILURE: Final = 1

_EXAMPLES: Final = """\
examples:
  ganeti-lab up --nodes 3                  make node1, node2 and node3 in lab.example, and switch them on
  ganeti-lab exec node1 -- gnt-cluster init cluster.lab.example
  ganeti-lab shell node2                   look around in a host; leave with 'exit'
  ganeti-lab exec -i node1 -- sh <script   give a program an input
  ganeti-lab kill node2                    power failure: all its processes are gone at once, its disk stays
  ganeti-lab start node2                   switch it on again; daemons of its cluster start with it
  ganeti-lab partition node3               nothing reaches it, nothing leaves it; its link stays up
  ganeti-lab partition --in node3          it is heard but hears nothing
  ganeti-lab heal node3
  ganeti-lab up --name other --nodes 5     a second lab beside the first; GANETI_LAB=other saves typing --name
  ganeti-lab down                          take all of it away; harmless when there is nothing

Every host has this machine's programs, and its own name, addresses, users' files below /root/.ssh, /etc/ganeti,
/var/lib/ganeti, /var/log/ganeti, /srv/ganeti, /run, processes and control group. What it writes stays its own.
The names of the cluster (%(clusters)s) and of guests (%(first)s to %(last)s) are in every /etc/hosts.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command `ganeti-lab`."""
    parser = _parser()
    try:
        asked = parser.parse_args(argv)
    except SystemExit as end:
        # Bad usage is exit status 1 in this family of commands (spec: cli, general), argparse says 2.
        return EXIT_FAILURE if end.code else 0
    try:
        return int(asked.deed(asked))
    except GanetiError as error:
        print(f"ganeti-lab: {error.message}", file=sys.stderr)
    except OSError as error:
        print(f"ganeti-lab: {error}", file=sys.stderr)
    return EXIT_FAILURE


def _up(asked: argparse.Namespace) -> int:
    begin_s = time.monotonic()
    lab = Lab(
        asked.nodes,
        name=asked.name,
        domain=asked.domain,
        secondary=asked.secondary,
        shared_storage=asked.shared_storage,
        kvm=not asked.no_kvm,
    )
    lab.up()
    state = lab.state()
    took_s = time.monotonic() - begin_s
    for host in lab.hosts:
        print(f"{host.fqdn}  {host.address}" + (f"  {host.secondary_address}" if host.secondary_address else ""))
    for note in state.notes:
        print(f"note: {note}")
    option = "" if asked.name == "lab" else f" --name {asked.name}"
    print(f"The lab {asked.name} is up after {took_s:.2f} s. Look inside: ganeti-lab shell{option} node1")
    return 0


def _down(asked: argparse.Namespace) -> int:
    Lab(name=asked.name).down()
    return 0


def _exec(asked: argparse.Namespace) -> int:
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        raise Refused(WRONG_INPUT, f"say what to run: ganeti-lab exec {asked.host} -- CMD")
    _become(Lab(name=asked.name).host(asked.host), command, stdin=asked.interactive or sys.stdin.isatty())


def _shell(asked: argparse.Namespace) -> int:
    _become(Lab(name=asked.name).host(asked.host), ["bash", "--login"], stdin=True)


def _become(host: Host, command: list[str], *, stdin: bool) -> NoReturn:
    """The exit status and signals are then the program's own; on a terminal it gets one that the host knows."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        # `script` makes a terminal in the host: ours has no name there, which screen, tmux and tty miss.
        command = ["script", "--quiet", "--return", "--command", shlex.join(command), "/dev/null"]
    argv = host.argv(command)
    if not stdin:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
    kept = {name: value for name, value in os.environ.items() if name in ("TERM", "COLORTERM", "NO_COLOR")}
    sys.stdout.flush()
    os.execvpe(argv[0], argv, ENVIRONMENT | kept)


def _kill(asked: argparse.Namespace) -> int:
    Lab(name=asked.name).kill(*asked.hosts)
    return 0


def _start(asked: argparse.Namespace) -> int:
    for name, said in sorted(Lab(name=asked.name).start(*asked.hosts).items()):
        for line in said.splitlines():
            print(f"{name}: {line}")
    return 0


def _partition(asked: argparse.Namespace) -> int:
    both = asked.inward == asked.outward
    Lab(name=asked.name).partition(*asked.hosts, inward=asked.inward or both, outward=asked.outward or both)
    return 0


def _heal(asked: argparse.Namespace) -> int:
    Lab(name=asked.name).heal(*asked.hosts)
    return 0


def _status(asked: argparse.Namespace) -> int:
    lab = Lab(name=asked.name)
    state = lab.state()
    rows = [_row(host, state.hosts[host.name]) for host in lab.hosts]
    alive = state.keeper is not None and state.keeper.alive()
    if asked.json:
        shown = {
            "name": state.plan.name,
            "domain": state.plan.domain,
            "alive": alive,
            "notes": list(state.notes),
            "hosts": rows,
        }
        print(json.dumps(shown, indent=2))
        return 0
    if not alive:
        print(f"The lab {asked.name} is dead; 'ganeti-lab down --name {asked.name}' removes what is left.")
    table = [["HOST", "STATE", "ADDRESS", "PID", "CUT", "CLUSTER"]]
    for row in rows:
        pid, cut, cluster = row["pid"], ",".join(row["cut"]), row["cluster"]
        table.append([row["name"], row["state"], row["address"], str(pid or "-"), cut or "-", cluster or "-"])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for note in state.notes:
        print(f"note: {note}")
    return 0


def _list(asked: argparse.Namespace) -> int:
    for name in names():
        print(name)
    return 0


def _row(host: Host, state: HostState) -> dict[str, Any]:
    on = state.running()
    return {
        "name": host.name,
        "fqdn": host.fqdn,
        "state": "on" if on else "off",
        "address": host.address,
        "secondary_address": host.secondary_address,
        "pid": state.first.pid if on and state.first is not None else None,
        "cut": list(state.cut),
        "cluster": _cluster_of(host) if on else None,
    }


def _cluster_of(host: Host) -> str | None:
    try:
        return str(json.loads(host.path(Paths().node_settings).read_text())["cluster_name"])
    except FileNotFoundError:
        return None


def _parser() -> argparse.ArgumentParser:
    texts = {"clusters": ", ".join(CLUSTER_NAMES), "first": INSTANCE_NAMES[0], "last": INSTANCE_NAMES[-1]}
    parser = argparse.ArgumentParser(
        prog="ganeti-lab",
        description="Several hosts on this machine, to build real clusters on: namespaces joined by a bridge.",
        epilog=_EXAMPLES % texts,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--name",
        default=os.environ.get(NAME_VARIABLE, "lab"),
        help=f"which lab (default: ${NAME_VARIABLE}, or lab)",
    )
    deeds = parser.add_subparsers(metavar="COMMAND", required=True)

    def deed(name: str, function: object, text: str) -> argparse.ArgumentParser:
        made = deeds.add_parser(name, help=text, description=text, parents=[common], allow_abbrev=False)
        made.set_defaults(deed=function)
        return made

    up = deed("up", _up, "make a lab and switch its hosts on")
    up.add_argument("--nodes", type=int, default=3, metavar="N", help="how many hosts (default: 3)")
    up.add_argument("--domain", default="lab.example", help="the domain of all names (default: lab.example)")
    up.add_argument("--secondary", action="store_true", help="give each host a second network card on its own network")
    up.add_argument(
        "--shared-storage",
        action="store_true",
        help="/srv/ganeti/shared-file-storage is the same directory on all hosts (for the template sharedfile)",
    )
    up.add_argument("--no-kvm", action="store_true", help="hide /dev/kvm from the hosts")
    deed("down", _down, "take a lab away with all its processes, interfaces, mounts and files")
    deed("list", _list, "print the names of the labs on this machine")
    status = deed("status", _status, "show the hosts of a lab")
    status.add_argument("--json", action="store_true", help="for programs")
    execute = deed("exec", _exec, "run a command in a host; its exit status is ours")
    execute.add_argument(
        "-i", "--interactive", action="store_true", help="the command reads our input (it has our terminal anyway)"
    )
    execute.add_argument("host", help="node1, say")
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command with its arguments")
    shell = deed("shell", _shell, "open a shell in a host")
    shell.add_argument("host", help="node1, say")
    for name, function, text in (
        ("kill", _kill, "power failure: every process of the host dies at once, its disk stays"),
        ("start", _start, "switch hosts on that are off"),
        ("partition", _partition, "cut hosts off from all others, until 'heal'"),
        ("heal", _heal, "end the partitions of hosts"),
    ):
        made = deed(name, function, text)
        made.add_argument("hosts", nargs="+", metavar="HOST", help="node1, say")
        if name == "partition":
            made.add_argument("--in", dest="inward", action="store_true", help="only what comes to the host vanishes")
            made.add_argument("--out", dest="outward", action="store_true", help="only what leaves the host vanishes")
    return parser

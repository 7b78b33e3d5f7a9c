"""`gnt-cluster command` and `copyfile`: a command, or a file, for every node, over the operator's own ssh.

The cluster's own daemons have no part in it: root of this host must be able to reach root of the others by key. This
host itself is not reached over ssh.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TextIO

from ganeti.base.errors import UNKNOWN, WRONG_INPUT, Failed, Refused
from ganeti.base.paths import Paths, from_environment
from ganeti.base.processes import Runner, SystemRunner
from ganeti.client.master import Master
from ganeti.client.settings import own_settings

AT_ONCE: Final = 10
"""How many nodes are worked on side by side."""

CONNECT_WITHIN_S: Final = 10
END_WITHIN_S: Final = 24 * 3600.0
"""A command may take long, but not for ever."""

RULE: Final = "-" * 48


class Target(NamedTuple):
    """A node and how ssh reaches it. `here`: it is this host."""

    name: str
    address: str
    port: int
    here: bool


class Answer(NamedTuple):
    """What a program said on one node, and how it ended."""

    output: str
    status: int


class Fleet:
    """Nodes that are reached one by one."""

    def __init__(self, *, runner: Runner, out: TextIO) -> None:
        self._runner = runner
        self._out = out

    async def command(
        self, targets: Sequence[Target], words: Sequence[str], *, prefixed: bool = False, failures_only: bool = False
    ) -> int:
        """Run a shell command on all, and print what each said, in their order. 1 when it failed on one."""
        script = " ".join(words)
        asked = {
            target: ["/bin/sh", "-c", script] if target.here else [*ssh(target), target.address, script]
            for target in targets
        }
        worst = 0
        for target, answer in zip(targets, await self._each(list(asked.values())), strict=True):
            worst = worst or int(answer.status != 0)
            if answer.status == 0 and failures_only:
                continue
            self._tell(target.name, answer, prefixed=prefixed)
        return worst

    async def copy(self, targets: Sequence[Target], path: str) -> int:
        """Copy a file to the same place on all but this host. 1 when that failed on one, which is said."""
        others = [target for target in targets if not target.here]
        argvs = [
            [*ssh(target, "scp", port="-P"), "-p", "-q", "--", path, f"{_bracketed(target.address)}:{path}"]
            for target in others
        ]
        worst = 0
        for target, answer in zip(others, await self._each(argvs), strict=True):
            if answer.status != 0:
                worst = 1
                self._say(f"Copy of file {path} to node {target.name} failed: {answer.output.strip()}")
        return worst

    async def _each(self, argvs: Sequence[Sequence[str]]) -> list[Answer]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(argv: Sequence[str]) -> Answer:
            async with slots:
                try:
                    done = await self._runner.run(argv, timeout_s=END_WITHIN_S)
                except Failed as error:
                    return Answer(error.message + "\n", 255)
                return Answer(done.stdout + done.stderr, done.status)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(argv)) for argv in argvs]
        return [task.result() for task in tasks]

    def _tell(self, name: str, answer: Answer, *, prefixed: bool) -> None:
        if prefixed:
            for line in answer.output.splitlines():
                self._say(f"{name}: {line}")
            if answer.status != 0:
                self._say(f"{name}: return code = {answer.status}")
            return
        self._say(RULE)
        self._say(f"node: {name}")
        self._out.write(answer.output)
        if answer.output and not answer.output.endswith("\n"):
            self._say("")
        self._say(f"return code = {answer.status}")

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")


def ssh(target: Target, program: str = "ssh", *, port: str = "-p") -> list[str]:
    """How the program is called for a node: as root, by key, without questions."""
    return [
        program,
        *["-o", "User=root", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_WITHIN_S}"],
        *["-o", f"HostKeyAlias={target.name}", port, str(target.port)],
    ]


def command(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster command`."""
    targets, fleet = _targets(options), Fleet(runner=SystemRunner(), out=sys.stdout)
    return asyncio.run(
        fleet.command(targets, arguments, prefixed=options["show_machine_names"], failures_only=options["failure_only"])
    )


def copyfile(options: dict[str, Any], arguments: list[str]) -> int:
    """`gnt-cluster copyfile`."""
    path = os.path.abspath(arguments[0])
    if not os.path.isfile(path):
        raise Refused(WRONG_INPUT, f"there is no file {path} to copy", path=path)
    targets = _targets(options, secondary=options["use_replication_network"])
    return asyncio.run(Fleet(runner=SystemRunner(), out=sys.stdout).copy(targets, path))


def _targets(options: Mapping[str, Any], *, secondary: bool = False, paths: Paths | None = None) -> list[Target]:
    paths = paths or from_environment()
    here = own_settings(paths.node_settings)["node_name"]
    master = Master(paths.master_socket, paths.node_settings)
    fields = ["name", "pip", "sip", "offline", "ndparams", "group", "group.uuid"]
    try:
        rows = master.values("node", fields, arguments=list(options["node"] or ()))
    finally:
        master.close()
    return chosen(rows, here=here, group=options["node_group"], named=bool(options["node"]), secondary=secondary)


def chosen(
    rows: Sequence[Sequence[Any]], *, here: str, group: str | None, named: bool, secondary: bool = False
) -> list[Target]:
    """The nodes that are meant, this host last. Those marked offline are left out, unless they were named."""
    if group is not None and not any(group in row[-2:] for row in rows):
        raise Refused(UNKNOWN, f"no node that was chosen is in a group '{group}'", name=group)
    targets = [
        Target(name, sip if secondary else pip, int(ndparams["ssh_port"]), here=name == here)
        for name, pip, sip, offline, ndparams, *groups in rows
        if (named or not offline) and (group is None or group in groups)
    ]
    return sorted(targets, key=lambda target: (target.here, target.name))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address

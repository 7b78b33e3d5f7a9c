"""Runs one phase of an operation's hooks on its nodes, and says which scripts failed and which nodes were silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls import Call
from ganeti.contract.calls.hooks import HooksFind, HooksFound, HooksRan, HooksRun
from ganeti.contract.hooks import FAILED, Hooks, Phase
from ganeti.contract.view import View
from ganeti.model.objects import Uuid

R = TypeVar("R")

HOOKS_VERSION: Final = "2"


class Caller(Protocol):
    """Asks several nodes at once."""

    async def call_each(self, calls: Mapping[Uuid, Call[R]]) -> dict[Uuid, R | Unavailable | Failed]:
        """An error is an answer here."""
        ...


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A script that failed, on the node of that name."""

    node: str
    script: str
    output: str


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a phase. `silent` are (name of the node, why) of those whose scripts may not have run."""

    failures: tuple[Failure, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()


class HookPhases:
    """The hooks of one operation. What a node has of them is asked once; most have none and are left alone then."""

    def __init__(self, op_id: str) -> None:
        self._op_id = op_id
        self._found: dict[Uuid, HooksFound] = {}
        self._silent: set[Uuid] = set()

    async def run(self, caller: Caller, view: View, hooks: Hooks, phase: Phase, *, after: Hooks | None = None) -> Ran:
        """Run a phase with the environment of `hooks`; `after` is what an operation that has ended says instead of it.

        Nodes that were silent in an earlier phase are not tried again.
        """
        nodes = hooks.pre_nodes if phase == "pre" else (after or hooks).post_nodes
        known = view.picture.nodes
        wanted = [uuid for uuid in dict.fromkeys(nodes) if uuid in known and not known[uuid].offline]
        silent: dict[Uuid, str] = {}
        unknown = [uuid for uuid in wanted if uuid not in self._found and uuid not in self._silent]
        for uuid, said in (await caller.call_each(dict.fromkeys(unknown, HooksFind(path=hooks.path)))).items():
            if isinstance(said, HooksFound):
                self._found[uuid] = said
            else:
                silent[uuid] = said.message
        having = [uuid for uuid in wanted if getattr(self._found.get(uuid, HooksFound()), phase)]
        failures: list[Failure] = []
        if having:
            env = environment(view, hooks, phase, op_id=self._op_id, after=after)
            run = HooksRun(path=hooks.path, phase=phase, env=env)
            for uuid, ran in (await caller.call_each(dict.fromkeys(having, run))).items():
                if isinstance(ran, HooksRan):
                    failures += [
                        Failure(node=known[uuid].name, script=result.script, output=result.output)
                        for result in ran.results
                        if result.status == FAILED
                    ]
                else:
                    silent[uuid] = ran.message
        self._silent |= silent.keys()
        return Ran(
            failures=tuple(failures), silent=tuple((known[uuid].name, why) for uuid, why in sorted(silent.items()))
        )


def environment(view: View, hooks: Hooks, phase: Phase, *, op_id: str, after: Hooks | None = None) -> dict[str, str]:
    """All variables of a phase by their full names; `after` adds what is so now as `GANETI_POST_...`."""
    cluster = view.cluster
    master = view.picture.nodes.get(cluster.master_node)
    common = {
        "HOOKS_VERSION": HOOKS_VERSION,
        "HOOKS_PHASE": phase,
        "HOOKS_PATH": hooks.path,
        "OP_CODE": op_id,
        "OBJECT_TYPE": hooks.object_type,
        "CLUSTER": cluster.cluster_name,
        "MASTER": "" if master is None else master.name,
    }
    now = {} if after is None else {f"POST_{name}": value for name, value in after.env.items()}
    return {f"GANETI_{name}": value for name, value in (hooks.env | now | common).items()}

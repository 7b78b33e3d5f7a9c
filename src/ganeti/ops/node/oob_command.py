"""OP_OOB_COMMAND: power of nodes, switched and asked by an out-of-band program of the operator on the master."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, WRONG_STATE, Failed, Refused, Unavailable
from ganeti.base.ids import Ids
from ganeti.base.processes import describe_status, last_lines
from ganeti.contract.calls.power import PowerAnswer, PowerCommand, PowerRun
from ganeti.contract.operation import Asker, Change, Context, Locks, Operation, OpParams, Outcome, Plan, operation
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Node, Uuid, changed

NORMAL: Final = 0
NO_DATA: Final = 2
UNAVAILABLE: Final = 3
"""The status of a value (spec: cli, "Field result status")."""

_AWAY: Final = ("power-off", "power-cycle")
_POWERED_AFTER: Final = {"power-on": True, "power-cycle": True, "power-off": False}
_HEALTH: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class OobCommandParams(OpParams, frozen=True, kw_only=True, tag="OP_OOB_COMMAND"):
    """Spec: opcodes, OP_OOB_COMMAND. `timeout` in seconds for each node; `power_delay` between nodes that come up."""

    node_names: tuple[str, ...] = ()
    node_uuids: tuple[str, ...] | None = None
    command: PowerCommand
    timeout: int = 60
    ignore_status: bool = False
    power_delay: float = 2.0


class OobPlan(Plan, frozen=True, kw_only=True):
    """Nodes with their programs (empty: none), in the order of their names."""

    nodes: tuple[tuple[Uuid, str], ...]


@operation
class OobCommand(Operation[OobCommandParams, None, OobPlan]):
    """Result: for each node [[0, its name], [status, what the program says]]; status 2: it failed, 3: there is none."""

    params = OobCommandParams

    def locks(self, params: OobCommandParams, view: View) -> Locks:
        """The nodes for itself."""
        return Locks(exclusive=frozenset(f"node/{node.uuid}" for node in _nodes(params, view)))

    async def survey(self, ask: Asker, params: OobCommandParams) -> None:
        """Nothing to ask: the nodes may be without power."""

    def plan(self, params: OobCommandParams, facts: None, view: View, ids: Ids) -> OobPlan:
        """Refuses to take power from the master, and from a node that is in use."""
        if params.timeout <= 0 or params.power_delay < 0:
            raise Refused(WRONG_INPUT, "the time limit must be at least 1 s, and the delay not negative")
        nodes = _nodes(params, view)
        for node in nodes:
            if params.command not in _AWAY:
                continue
            if node.uuid == view.cluster.master_node:
                raise Refused(
                    WRONG_INPUT,
                    f"node {node.name} is the master and cannot take its own power; make another node the master first",
                    node=node.name,
                )
            if params.command == "power-off" and not node.offline and not params.ignore_status:
                raise Refused(
                    WRONG_STATE,
                    f"node {node.name} is not marked offline; mark it with 'gnt-node modify --offline yes', or insist "
                    "with --ignore-status",
                    node=node.name,
                )
        programs = [(node.uuid, str(effective.node_params(view.picture, node)["oob_program"])) for node in nodes]
        return OobPlan(
            nodes=tuple(programs),
            steps=tuple(
                f"run {program} {params.command} {view.picture.nodes[uuid].name} on the master"
                for uuid, program in programs
                if program
            ),
        )

    async def run(self, ctx: Context, params: OobCommandParams, plan: OobPlan) -> Outcome:
        """One after another. What is known about power is written down after each: it stays true if the next fails."""
        rows: list[list[list[Any]]] = []
        came_up = False
        for uuid, program in plan.nodes:
            node = ctx.view.picture.nodes[uuid]
            if not program:
                rows.append([[NORMAL, node.name], [UNAVAILABLE, None]])
                continue
            if params.command == "power-on" and came_up:
                await asyncio.sleep(params.power_delay)
            came_up = True
            try:
                payload = await _ask(ctx, params, node, program)
            except (Failed, Unavailable) as error:
                ctx.warn(f"{params.command} of node {node.name} failed: {error.message}")
                rows.append([[NORMAL, node.name], [NO_DATA, None]])
                continue
            rows.append([[NORMAL, node.name], [NORMAL, payload]])
            powered = _POWERED_AFTER.get(params.command, node.powered)
            if params.command == "power-status" and payload["powered"] != node.powered:
                ctx.warn(f"node {node.name} is recorded as {_word(node.powered)} and is {_word(payload['powered'])}")
            if powered != node.powered:
                await ctx.commit(Change(put=(changed(node, ctx.clock.now_s(), powered=powered),)))
        return Outcome(result=rows)


async def _ask(ctx: Context, params: OobCommandParams, node: Node, program: str) -> Any:
    """The program's answer, checked. `Failed` in its own words."""
    call = PowerRun(program=program, command=params.command, host=node.name, within_s=params.timeout)
    answer = await ctx.call(ctx.view.cluster.master_node, call)
    if answer.status != 0:
        said = last_lines(answer.stderr or answer.stdout)
        raise Failed(f"{program} ended with {describe_status(answer.status)}" + (f": {said}" if said else ""))
    return checked(params.command, answer, program)


def checked(command: PowerCommand, answer: PowerAnswer, program: str) -> Any:
    """What the program answers to a question, or None. `Failed` when it is not what the command must answer."""
    if command not in ("power-status", "health"):
        return None
    try:
        data: Any = msgspec.json.decode(answer.stdout)
    except msgspec.DecodeError as error:
        raise Failed(f"{program} {command} answers no JSON: {error}") from error
    match command, data:
        case "power-status", {"powered": bool()}:
            return data
        case "health", list() if all(_is_item(item) for item in data):
            return data
        case _:
            wanted = (
                '{"powered": true or false}' if command == "power-status" else f"[[item, {'|'.join(_HEALTH)}], ...]"
            )
            raise Failed(f"{program} {command} answers {answer.stdout.strip()[:200]}, and should answer {wanted}")


def _is_item(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and item[1] in _HEALTH


def _nodes(params: OobCommandParams, view: View) -> list[Node]:
    """The nodes asked for; all when none was named, but for the master where its power would go."""
    if params.node_names:
        named = {node.uuid: node for node in map(view.picture.node, params.node_names)}
        return sorted(named.values(), key=lambda node: node.name)
    spared = view.cluster.master_node if params.command in _AWAY else None
    return sorted((node for node in view.picture.nodes.values() if node.uuid != spared), key=lambda node: node.name)


def _word(powered: bool) -> str:
    return "powered" if powered else "unpowered"

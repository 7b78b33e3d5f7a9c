"""Who is the master? Asking the nodes, and judging what they say.

A failover needs the consent of more than half of the nodes (`claims_needed`), a start of the known master answers from
half of them (`answers_needed`): one node at least is in both, so a master that was superseded cannot miss it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from ganeti.base.errors import Failed, GanetiError, Refused, Unavailable
from ganeti.contract.calls.member import Vote, VoteGet
from ganeti.master.nodes import Caller, address_of
from ganeti.model.objects import Node

FAILOVER_STEP: Final = 1000
"""A failover goes on with the next full thousand, a restart with the next number: the two cannot meet."""

ANSWER_WITHIN_S: Final = 4.0
"""A node that takes longer does not vote: somebody waits for a master."""

Votes = Mapping[str, "Vote | GanetiError"]
"""Node name to what it said."""


def claims_needed(nodes: int) -> int:
    """How many of the nodes must consent to a new master."""
    return nodes // 2 + 1


def answers_needed(nodes: int) -> int:
    """How many of the nodes must answer, itself included, for the known master to go on."""
    return (nodes + 1) // 2


def next_epoch(newest: int) -> int:
    """The epoch of a failover, after the newest one that anybody has seen."""
    return (newest // FAILOVER_STEP + 1) * FAILOVER_STEP


async def ask(
    caller: Caller, nodes: Iterable[Node], *, within_s: float = ANSWER_WITHIN_S
) -> dict[str, Vote | GanetiError]:
    """Ask the nodes, all at once."""

    async def one(node: Node) -> Vote | GanetiError:
        try:
            async with asyncio.timeout(within_s):
                return await caller.call(address_of(node), VoteGet())
        except (Unavailable, Failed, Refused) as error:
            return error
        except TimeoutError:
            return Unavailable(f"node {node.name} gave no answer within {within_s:g} s", node=node.name)

    chosen = list(nodes)
    answers = await asyncio.gather(*map(one, chosen))
    return {node.name: answer for node, answer in zip(chosen, answers, strict=True)}


def given(votes: Votes) -> list[Vote]:
    """Those that answered."""
    return [vote for vote in votes.values() if isinstance(vote, Vote)]


def superseded_by(votes: Votes, *, me: str, epoch: int) -> str | None:
    """The master that more than half of the nodes obey with a newer epoch than ours, if there is one."""
    others = [vote.master_name for vote in given(votes) if vote.epoch > epoch and vote.master_name != me]
    for name in set(others):
        if others.count(name) >= claims_needed(len(votes)):
            return name
    return None

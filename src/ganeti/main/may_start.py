"""May this node go on as the master? Asked before the master daemon takes its store over.

A host that was away may have been superseded by a master failover without knowing it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.paths import Paths
from ganeti.base.retry import attempts
from ganeti.contract.settings import NodeSettings
from ganeti.contract.store import Store
from ganeti.main import daemon
from ganeti.master import election
from ganeti.master.nodes import Caller
from ganeti.model.objects import Cluster, Node

log = Log(__name__)

ANSWERS_WITHIN_S: Final = 30.0
"""How long a start waits for enough nodes to answer: after a power failure all hosts come up together."""


async def least_epoch(
    store: Store,
    caller: Caller,
    settings: NodeSettings,
    *,
    files: Files,
    paths: Paths,
    within_s: float = ANSWERS_WITHIN_S,
) -> int:
    """The newest epoch that a node has seen. `CannotStart` when another node is the master, or too few answer."""
    snapshot = await store.read()
    cluster = msgspec.json.decode(snapshot.entries["cluster"].value, type=Cluster)
    entry = snapshot.entries.get("epoch")
    epoch = int(entry.value) if entry is not None else 0
    nodes = [
        msgspec.json.decode(entry.value, type=Node)
        for key, entry in snapshot.entries.items()
        if key.startswith("node/")
    ]
    online = [node for node in nodes if not node.offline]
    if len(online) <= 1:
        return epoch
    if files.exists(paths.no_vote):
        files.remove(paths.no_vote)
        log.warning("started without a vote, as the operator wanted")
        return epoch
    needed, answered = election.answers_needed(len(online)), 0
    # This node's own answer counts whether or not its daemon runs.
    others = [node for node in online if node.uuid != cluster.master_node]
    silent = [node.name for node in others]
    async for _ in attempts(within_s=within_s):
        votes = await election.ask(caller, others)
        given = election.given(votes)
        newer = [vote for vote in given if vote.epoch > epoch and vote.master_name != settings.node_name]
        loyal = 1 + len(given) - len(newer)
        if newer and loyal < election.claims_needed(len(online)):
            new = max(newer, key=lambda vote: vote.epoch)
            _step_down(files, paths, settings, new.master_name)
            raise daemon.CannotStart(
                f"the master of {settings.cluster_name} is {new.master_name} now (epoch {new.epoch}, the last one of this "
                f"node was {epoch}): {len(newer)} of {len(online)} nodes say so; this node does not start as master, its "
                f"old configuration stays in {paths.store}",
                status=daemon.EXIT_NOT_MASTER,
            )
        answered = 1 + len(given)
        silent = [name for name, vote in votes.items() if vote not in given]
        if answered >= needed:
            return max([epoch, *(vote.epoch for vote in given)])
    raise daemon.CannotStart(
        f"only {answered} of {len(online)} nodes answer, and {needed} must, for another node may have become the master; "
        f"silent: {', '.join(silent)}. Start their node daemons, or, if you are sure that no other master runs, say "
        "'gnt-cluster master-failover --no-voting --yes-do-it' here",
        status=daemon.EXIT_FAILURE,
    )


def _step_down(files: Files, paths: Paths, settings: NodeSettings, master_name: str) -> None:
    """Remember who is the master, so that nothing here tries again; the new master tells the rest."""
    known = msgspec.structs.replace(settings, master_name=master_name)
    files.write(paths.node_settings, msgspec.json.format(msgspec.json.encode(known)))

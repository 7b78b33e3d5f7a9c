"""Keep what nodes know of their cluster up to date: after every change of it, and again for those who missed one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from ganeti.base.errors import Failed, GanetiError, Refused, Unavailable
from ganeti.base.log import Log
from ganeti.contract.calls.member import NodeSettingsPut
from ganeti.contract.store import Compacted, Revision, Store
from ganeti.master.nodes import Nodes, address_of
from ganeti.master.state import State
from ganeti.model.objects import Node, Uuid
from ganeti.ops.parts import membership

log = Log(__name__)

AGAIN_EVERY_S: Final = 10.0
"""How often a node that did not take its settings is tried again."""

SETTLE_S: Final = 0.2
"""Changes that come together are told together."""

LOOK_EVERY_S: Final = 60.0
"""How often the names of instances, which change often, are compared with what nodes know."""

_ABOUT: Final = ("cluster", "node/", "group/")


class Members:
    """What each node has been told. `authority_key`: the authority's key, for candidates; None where there is none."""

    def __init__(self, state: State, nodes: Nodes, store: Store, *, authority_key: Callable[[], str | None]) -> None:
        self._state, self._nodes, self._store = state, nodes, store
        self._authority_key = authority_key
        self._told: dict[Uuid, bytes] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Without an end."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            telling = group.create_task(self._tell_for_ever())
            await asyncio.wait([watching, telling], return_when=asyncio.FIRST_EXCEPTION)

    async def _watch(self) -> None:
        after = Revision(self._state.picture.revision)
        while True:
            try:
                async for change in self._store.watch("", after=after):
                    after = change.revision
                    if any(key.startswith(_ABOUT) for key in change.values):
                        self._wake.set()
            except Compacted:
                after = Revision(self._state.picture.revision)
                self._wake.set()

    async def _tell_for_ever(self) -> None:
        while True:
            self._wake.clear()
            all_know = await self.tell()
            try:
                async with asyncio.timeout(LOOK_EVERY_S if all_know else AGAIN_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time to look again
            await asyncio.sleep(SETTLE_S)

    async def tell(self) -> bool:
        """Tell every node that is online what it does not know yet; whether all know now."""
        picture = self._state.picture
        key = self._authority_key()
        for_candidates = membership.settings_for(picture, authority_key=key)
        for_others = membership.settings_for(picture, authority_key=None if key is None else "")
        wanted = {
            node.uuid: for_candidates if node.master_candidate else for_others
            for node in picture.nodes.values()
            if not node.offline
        }
        news = {
            uuid: call for uuid, call in wanted.items() if self._told.get(uuid) != _essence(picture.nodes[uuid], call)
        }
        for gone in self._told.keys() - wanted.keys():
            del self._told[gone]
        all_know = True
        # Past their debts: who may call a node must not wait for what it cannot undo.
        told = await asyncio.gather(*(self._tell_one(picture.nodes[uuid], call) for uuid, call in news.items()))
        for uuid, answer in zip(news, told, strict=True):
            if answer is not None:
                all_know = False
                self._told.pop(uuid, None)
                log.warning("node does not know the newest settings yet", node=picture.nodes[uuid].name, cause=answer)
            else:
                self._told[uuid] = _essence(picture.nodes[uuid], news[uuid])
        return all_know

    async def _tell_one(self, node: Node, call: NodeSettingsPut) -> GanetiError | None:
        try:
            await self._nodes.call_at(address_of(node), call)
        except (Unavailable, Failed, Refused) as error:
            return error
        return None


def _essence(node: Node, call: NodeSettingsPut) -> bytes:
    """Equal when there is nothing new to tell; a node that came back with another certificate is a new one."""
    return node.certificate.encode() + msgspec.json.encode(call)

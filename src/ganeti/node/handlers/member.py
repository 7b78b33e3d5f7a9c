"""Calls about membership: the node's settings, its copy of the store, and who is the master."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import msgspec

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.base.log import Log
from ganeti.contract.calls.member import (
    MasterAddressPut,
    MasterClaim,
    NodeSettingsPut,
    ReplicaState,
    StoreAppend,
    StoreSnapshot,
    StoreStateGet,
    Vote,
    VoteGet,
)
from ganeti.contract.settings import NodeSettings
from ganeti.node.handlers import handles
from ganeti.node.host import Host
from ganeti.store.replica import Replica, peek

_log: Final = Log(__name__)

SSCONF_PREFIX: Final = "ssconf_"
_ARPING: Final = ("/usr/sbin/arping", "/usr/bin/arping")


@handles(NodeSettingsPut)
async def put_settings(host: Host, call: NodeSettingsPut) -> None:
    """The settings come last: what they promise is there then."""
    before = _settings(host)
    directory = host.paths.data
    for name, content in call.ssconf.items():
        path = f"{directory}/{SSCONF_PREFIX}{name}"
        if not host.files.exists(path) or host.files.read(path) != content.encode():
            host.files.write(path, content.encode(), mode=0o444)
    if call.authority_key is not None:
        if call.authority_key:
            host.files.write(host.paths.ca_key, call.authority_key.encode())
        else:
            host.files.remove(host.paths.ca_key)
            if host.replica is not None:
                await host.replica.remove()
    after = msgspec.structs.replace(
        before,
        cluster_name=call.cluster_name,
        master_name=call.master_name,
        master_ip=call.master_ip,
        master_netdev=call.master_netdev,
        master_netmask=call.master_netmask,
        callers=call.callers,
        file_storage_dirs=call.file_storage_dirs,
    )
    await _become(host, before, after)


@handles(MasterAddressPut)
async def put_master_address(host: Host, call: MasterAddressPut) -> None:
    """Looks first: `ip` calls it an error when there is nothing to do."""
    there = await _has_address(host, call.device, call.address)
    if there is call.up:
        return
    if there is None:
        raise Refused(WRONG_STATE, f"node {host.name} has no network device {call.device}", device=call.device)
    deed = "add" if call.up else "del"
    argv = ["ip", "address", deed, f"{call.address}/{call.netmask}", "dev", call.device]
    (await host.runner.run(argv, timeout_s=30)).expect_success(f"{deed} the address of the cluster on {call.device}")
    arping = next((path for path in _ARPING if host.files.is_executable(path)), None)
    if call.up and ":" not in call.address and arping is not None:
        # Neighbours that remember who had the address before shall forget; without arping they do in a minute or so.
        _ = await host.runner.run([arping, "-q", "-U", "-c", "2", "-I", call.device, call.address], timeout_s=10)


@handles(StoreStateGet)
async def store_state(host: Host, call: StoreStateGet) -> ReplicaState:
    """See `Replica.state`."""
    return await _replica(host).state()


@handles(StoreAppend)
async def store_append(host: Host, call: StoreAppend) -> ReplicaState:
    """See `Replica.append`."""
    return await _replica(host).append(call.after, call.changes)


@handles(StoreSnapshot)
async def store_snapshot(host: Host, call: StoreSnapshot) -> ReplicaState:
    """See `Replica.replace`."""
    return await _replica(host).replace(call.revision, call.part, last=call.last, entries=call.entries)


@handles(VoteGet)
async def vote(host: Host, call: VoteGet) -> Vote:
    """Asks no driver."""
    replica = await host.replica.state() if host.replica is not None else None
    has_store = host.replica is not None and host.files.exists(host.paths.store)
    return Vote(
        name=host.name,
        epoch=host.fence.epoch,
        master_name=_settings(host).master_name,
        replica=replica if replica is not None and replica.revision > 0 else None,
        store=await asyncio.to_thread(peek, host.paths.store) if has_store else None,
        master_runs=await _listens(host.paths.master_socket) if host.replica is not None else False,
    )


@handles(MasterClaim)
async def claim(host: Host, call: MasterClaim) -> Vote:
    """A claim of the epoch this node obeys is granted only to the one it was granted to before."""
    before = _settings(host)
    epoch = host.fence.epoch
    if call.epoch < epoch or (call.epoch == epoch and before.master_name != call.master_name):
        raise Refused(
            WRONG_STATE,
            f"node {host.name} obeys {before.master_name} with epoch {epoch}; {call.master_name} claims {call.epoch}",
            newest_epoch=epoch,
            master=before.master_name,
        )
    host.fence.admit(call.epoch)
    await _become(host, before, msgspec.structs.replace(before, master_name=call.master_name))
    return await vote(host, VoteGet())


async def _listens(socket_path: str) -> bool:
    try:
        async with asyncio.timeout(2.0):
            _, writer = await asyncio.open_unix_connection(socket_path)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _become(host: Host, before: NodeSettings, after: NodeSettings) -> None:
    if after != before:
        host.files.write(host.paths.node_settings, msgspec.json.format(msgspec.json.encode(after)))
        host.member.settings = after
        _log.info("settings changed", master=after.master_name, callers=len(after.callers))
    if after.master_name != host.name and after.master_ip and after.master_netdev:
        address = MasterAddressPut(
            address=after.master_ip, netmask=after.master_netmask, device=after.master_netdev, up=False
        )
        if await _has_address(host, after.master_netdev, after.master_ip):
            await put_master_address(host, address)


async def _has_address(host: Host, device: str, address: str) -> bool | None:
    """None when there is no such device."""
    done = await host.runner.run(["ip", "-json", "address", "show", "dev", device], timeout_s=30)
    if done.status != 0:
        return None
    links = json.loads(done.stdout or "[]")
    return any(entry.get("local") == address for link in links for entry in link.get("addr_info", []))


def _settings(host: Host) -> NodeSettings:
    if host.member.settings is None:
        raise Refused(WRONG_STATE, f"node {host.name} has no settings of a cluster")
    return host.member.settings


def _replica(host: Host) -> Replica:
    if host.replica is None:
        raise Refused(WRONG_STATE, f"node {host.name} keeps no copy of the store")
    return host.replica

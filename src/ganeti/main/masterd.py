"""`ganeti-masterd`: the master daemon with its real ports: SQLite, TLS to the nodes, the unix socket for commands."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from ganeti.base.clock import SystemClock
from ganeti.base.files import SystemFiles
from ganeti.base.ids import SystemIds
from ganeti.main import daemon
from ganeti.main.noded import load_settings

KIND: Final = daemon.Kind(
    name="ganeti-masterd",
    log_name="master-daemon",
    about="Run the cluster's jobs and answer the commands; on the master node only.",
    listens=False,
)


CONNECT_WITHIN_S: Final = 4.0
"""A node that is off shall not hold up the start of a master; SYN packets are repeated after 1 and 3 s."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    version = metadata.version("ganeti")

    async def body(this: daemon.Daemon) -> None:
        await serve(this, version=version)

    return daemon.run(KIND, body, argv, version=version)


async def serve(this: daemon.Daemon, *, version: str) -> None:
    """Be the master until told to stop."""
    # Late, so that --version and a second start answer at once.
    from ganeti.main.catalog import build_catalog
    from ganeti.main.household import FileAuthority, FrontDoor
    from ganeti.main.may_start import least_epoch
    from ganeti.master.master import Household, Ports, at_work
    from ganeti.master.serve import serving
    from ganeti.master.state import Deposed
    from ganeti.store.archive import SqliteArchive
    from ganeti.store.sqlite import SqliteStore
    from ganeti.wire.client import NodeClient
    from ganeti.wire.tls import TlsWire

    paths = this.paths
    files, clock = SystemFiles(), SystemClock()
    settings = load_settings(files, paths)
    if settings.master_name != settings.node_name:
        raise daemon.CannotStart(
            f"the master of {settings.cluster_name} is {settings.master_name}, not this node",
            status=daemon.EXIT_NOT_MASTER,
        )
    ids = SystemIds()
    catalog, addressing = build_catalog()
    wire = TlsWire(
        certificate_file=paths.node_certificate, ca_file=paths.ca_certificate, connect_timeout_s=CONNECT_WITHIN_S
    )
    store = await SqliteStore.open(paths.store)
    archive = await SqliteArchive.open(paths.archive)
    try:
        asker = NodeClient(wire, cluster_uuid=settings.cluster_uuid, epoch=0, ids=ids, version=version)
        seen_epoch = await least_epoch(store, asker, settings, files=files, paths=paths)
        authority = FileAuthority(files=files, paths=paths, clock=clock, ids=ids)
        ports = Ports(
            store=store,
            archive=archive,
            caller=lambda cluster, epoch: NodeClient(wire, cluster_uuid=cluster, epoch=epoch, ids=ids, version=version),
            clock=clock,
            ids=ids,
            catalog=catalog,
            addressing=addressing,
            paths=paths,
            version=version,
            household=Household(
                doors=FrontDoor(authority, certificate_file=paths.node_certificate), authority_key=authority.key
            ),
            least_epoch=seen_epoch,
        )
        async with at_work(ports) as master, serving(master, paths.master_socket, stop=this.stop.set):
            # What is loaded now lives as long as the daemon: it need not be looked at by every collection.
            gc.freeze()
            this.ready()
            await this.stop.wait()
    except BaseExceptionGroup as group:
        if group.subgroup(Deposed) is None:
            raise
        raise daemon.CannotStart(
            f"another node is the master of {settings.cluster_name} now; this one has ended its work as master",
            status=daemon.EXIT_NOT_MASTER,
        ) from group
    finally:
        await wire.close()
        await archive.close()
        await store.close()


if __name__ == "__main__":
    sys.exit(main())

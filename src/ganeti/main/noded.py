"""`ganeti-noded`: serve the master's calls on this node, over mutual TLS, with the drivers of this host."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

import msgspec

from ganeti.base.files import Files, SystemFiles
from ganeti.base.log import Log
from ganeti.base.paths import Paths
from ganeti.base.tasks import Scope
from ganeti.contract.settings import NodeSettings
from ganeti.main import daemon

_log: Final = Log("ganeti.main.noded")  # not __name__: that is __main__ when run with -m

KIND: Final = daemon.Kind(
    name="ganeti-noded", log_name="node-daemon", about="Serve the calls of the cluster's master on this node."
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    version = metadata.version("ganeti")

    async def body(this: daemon.Daemon) -> None:
        await serve(this, version=version)

    return daemon.run(KIND, body, argv, version=version)


async def serve(this: daemon.Daemon, *, version: str) -> None:
    """Serve until told to stop, or until the node has left its cluster."""
    # Late, so that --version and a second start answer at once.
    from ganeti.drivers.os.leftovers import Running
    from ganeti.main.catalog import build_host
    from ganeti.node.serve import NodeServer
    from ganeti.wire.tls_server import serve_tls

    paths, files = this.paths, SystemFiles()
    settings = load_settings(files, paths)
    for path in (paths.node_certificate, paths.ca_certificate):
        if not files.exists(path):
            raise daemon.CannotStart(
                f"{path} is not there, without it nobody can be trusted; {_HOW_TO_JOIN}",
                status=daemon.EXIT_NODE_NOT_SET_UP,
            )
    host = build_host(paths, settings, version=version, files=files)
    await Running(files=files, paths=paths).end_leftovers()
    server = NodeServer(host, settings=settings)

    def reload() -> None:
        try:
            server.settings = load_settings(files, paths)
        except daemon.CannotStart as error:
            _log.error("settings not read anew", reason=str(error))

    this.on_hangup.append(reload)
    address = this.options.bind if this.options.bind is not None else settings.host
    port = this.options.port if this.options.port is not None else settings.port
    try:
        async with serve_tls(
            address,
            port,
            certificate_file=paths.node_certificate,
            ca_file=paths.ca_certificate,
            serve=server.serve,
        ) as real_port:
            _log.info("listening", node=settings.node_name, address=address, port=real_port, version=version)
            this.ready()
            async with Scope() as scope:
                _ = scope.start(_stop_when_left(host.left, this.stop), name="wait for the end of membership")
                await this.stop.wait()
            assert host.replica is not None, "a real host can keep one"
            await host.replica.close()
    except ssl.SSLError as error:
        raise daemon.CannotStart(
            f"{paths.node_certificate} or {paths.ca_certificate} is not a usable certificate with its key: "
            f"{error.reason or error}; {_HOW_TO_JOIN}",
            status=daemon.EXIT_NODE_NOT_SET_UP,
        ) from error
    except OSError as error:
        raise daemon.CannotStart(f"cannot listen on {address} port {port}: {error.strerror or error}") from error


def load_settings(files: Files, paths: Paths) -> NodeSettings:
    """What this node knows of its cluster. `CannotStart` (exit status 12) when it is in none."""
    try:
        return msgspec.json.decode(files.read(paths.node_settings), type=NodeSettings)
    except FileNotFoundError:
        reason = f"this host is in no cluster: {paths.node_settings} is not there"
    except (OSError, msgspec.MsgspecError) as error:
        reason = f"cannot read {paths.node_settings}: {error}"
    raise daemon.CannotStart(f"{reason}; {_HOW_TO_JOIN}", status=daemon.EXIT_NODE_NOT_SET_UP)


async def _stop_when_left(left: asyncio.Event, stop: asyncio.Event) -> None:
    await left.wait()
    stop.set()


_HOW_TO_JOIN: Final = "make a cluster here with `gnt-cluster init`, or add this host with `gnt-node add` on the master"


if __name__ == "__main__":
    sys.exit(main())

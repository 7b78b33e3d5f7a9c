"""The node's end of the wire over mutual TLS: one path, one method, bytes in and bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from ganeti.contract.wire import Serve
from ganeti.wire.certificates import fingerprint_der
from ganeti.wire.tls import CALL_PATH, MAX_MESSAGE_BYTES, server_context

FINISH_WITHIN_S: Final = 5.0
"""How long calls in flight may take when the server stops; after that they are cancelled."""


@asynccontextmanager
async def serve_tls(
    host: str,
    port: int,
    *,
    certificate_file: str,
    ca_file: str,
    serve: Serve,
    finish_within_s: float = FINISH_WITHIN_S,
) -> AsyncIterator[int]:
    """Serve calls until the block ends; yields the port that is listened on (useful with port 0).

    A call whose caller went away runs on to its end: what it did is recorded for the repeat. `OSError` when the
    address is taken, `ssl.SSLError` when the files are not what they should be.
    """

    async def answer(request: web.Request) -> web.Response:
        tls = request.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate is None:
            raise web.HTTPForbidden(text="no call without a certificate\n")
        return web.Response(body=await serve(await request.read(), fingerprint_der(certificate)))

    application = web.Application(client_max_size=MAX_MESSAGE_BYTES)
    application.router.add_post(CALL_PATH, answer)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=finish_within_s)
    await runner.setup()
    try:
        site = web.TCPSite(
            runner, host, port, ssl_context=server_context(certificate_file, ca_file), reuse_address=True
        )
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()

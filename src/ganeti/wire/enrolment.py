"""The enrolment port of the master and its client: HTTP over TLS for hosts that have no certificate yet."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from ganeti.base.errors import Unavailable

LARGEST_REQUEST_BYTES: Final = 256 * 1024
CONNECT_WITHIN_S: Final = 15.0
ANSWER_WITHIN_S: Final = 150.0

Answer = Callable[[str, bytes, str], Awaitable[tuple[int, bytes]]]
"""(path, body, address of the host that asks) to (HTTP status, body)."""


@asynccontextmanager
async def listening(host: str, port: int, *, certificate_file: str, answer: Answer) -> AsyncIterator[int]:
    """Serve enrolment until the block ends; yields the real port. `OSError` when the address cannot be had."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(certificate_file)

    async def handle(request: web.Request) -> web.Response:
        status, body = await answer(request.path, await request.read(), request.remote or "")
        return web.Response(status=status, body=body, content_type="application/json")

    application = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class EnrolmentClient:
    """Asks an enrolment port; blocking. Without an authority (PEM) nobody is trusted and nothing may be confided."""

    def __init__(self, host: str, port: int, *, authority: str | None = None) -> None:
        self._host, self._port = host, port
        if authority is None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        else:
            tls = ssl.create_default_context(cadata=authority)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls = tls

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request; HTTP status and body. `Unavailable` with the cause when there is no answer."""
        where = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_WITHIN_S, context=self._tls)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_WITHIN_S)
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(
                f"who answers on {where} is not the master that made the token: {error.verify_message}"
            ) from error
        except ConnectionRefusedError as error:
            raise Unavailable(
                f"nobody listens on {where}: the master does so only while a token is good (not used, not expired); "
                "make a new one with 'gnt-cluster join-token' on the master"
            ) from error
        except TimeoutError as error:
            raise Unavailable(
                f"no answer from the master on {where}; is there a firewall between, or is the master down?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer from the master on {where}: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()

"""The wire over mutual TLS 1.3: HTTP/1.1 with connections that stay open, one POST for each call."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from typing import Final

import aiohttp

from ganeti.base.errors import Unavailable
from ganeti.contract.wire import Address
from ganeti.wire.certificates import fingerprint_der
from ganeti.wire.lost import ConnectionLost

CALL_PATH: Final = "/call"
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024

_KEEPALIVE: Final = (
    (socket.TCP_KEEPIDLE, 15),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 4),
    (socket.TCP_USER_TIMEOUT, 20_000),
)
"""An answer may take hours; a peer that fell silent is noticed after some 35 seconds all the same.

Probes are sent on idle connections only. The last one is for a request that is never acknowledged: without it a host
that lost its power while a connection to it was open would be waited for until the call's own limit.
"""


class TlsWire:
    """A `Wire` that speaks with the certificate (and key) of this node, and only with nodes of our authority.

    The peer must show the name of the node it is taken for, and with `Address.certificate` exactly that certificate.
    Opens its first connection in the loop that first calls `exchange`.
    """

    def __init__(
        self,
        certificate_file: str,
        ca_file: str,
        *,
        connect_timeout_s: float = 10.0,
        connections_per_node: int = 100,
    ) -> None:
        self._certificate_file = certificate_file
        self._ca_file = ca_file
        self._contexts = {"": self._context("")}
        self._connect_timeout_s = connect_timeout_s
        self._connections_per_node = connections_per_node
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, to: Address, envelope: bytes, *, timeout_s: float) -> bytes:
        """See `Wire.exchange`."""
        where = f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._connected().post(
                    f"https://{where}{CALL_PATH}",
                    data=envelope,
                    ssl=self._context_for(to.certificate),
                    server_hostname=to.name,
                ) as response,
            ):
                body = await response.read()
                if response.status == 200:
                    return body
                said = body[:500].decode(errors="replace")
                raise Unavailable(
                    f"the node daemon of {to.name} answers with HTTP status {response.status}: {said}", node=to.name
                )
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Unavailable(_not_the_node(to, where, error), node=to.name) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(
                f"node {to.name} does not answer on {where}: no connection within {self._connect_timeout_s:g} s; "
                "is the host up and the network between?",
                node=to.name,
            ) from error
        except TimeoutError as error:
            raise Unavailable(
                f"the node daemon of {to.name} ({where}) gave no answer within {timeout_s:g} s; "
                "it may still be at work",
                node=to.name,
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise ConnectionLost(
                f"the node daemon of {to.name} does not answer on {where}: {_words(error)}; "
                "start it there with `ganeti-daemons start`",
                node=to.name,
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            if "alert" in str(error).lower():  # with TLS 1.3 the server's verdict on us comes after the handshake
                raise Unavailable(
                    f"the node daemon of {to.name} ({where}) does not accept our certificate: {_words(error)}",
                    node=to.name,
                ) from error
            raise ConnectionLost(
                f"the connection to node {to.name} ({where}) broke before its answer came: {_words(error)}; "
                "its daemon may have died, or does not accept our certificate",
                node=to.name,
            ) from error

    async def close(self) -> None:
        """See `Wire.close`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _context_for(self, pin: str) -> ssl.SSLContext:
        # One for each pin: connections are kept by context, so none is used for a call that asks for more.
        if pin not in self._contexts:
            self._contexts[pin] = self._context(pin)
        return self._contexts[pin]

    def _context(self, pin: str) -> ssl.SSLContext:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_verify_locations(self._ca_file)
        tls.load_cert_chain(self._certificate_file)
        if pin:
            tls.sslobject_class = _pinned(pin)
        return tls

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._connections_per_node,
                    keepalive_timeout=60.0,
                    socket_factory=_socket,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # a proxy of the operator's shell has no business between nodes
            )
        return self._session


def server_context(certificate_file: str, ca_file: str) -> ssl.SSLContext:
    """TLS for a node daemon: 1.3 only, and no caller without a certificate of our authority."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_verify_locations(ca_file)
    tls.load_cert_chain(certificate_file)
    tls.verify_mode = ssl.CERT_REQUIRED
    return tls


def _pinned(pin: str) -> type[ssl.SSLObject]:
    """TLS that ends its handshake, before a byte of ours is sent, when the peer's certificate is not the known one."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = fingerprint_der(self.getpeercert(binary_form=True) or b"")
            if shown != pin.lower():
                error = ssl.SSLCertVerificationError(f"it is {shown}, the cluster knows {pin}")
                error.verify_message = str(error)
                raise error

    return Pinned


def _socket(info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _not_the_node(
    to: Address, where: str, error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError
) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
        return f"who answers on {where} is not node {to.name}: its certificate was not accepted: {why}"
    return f"who answers on {where} does not speak the TLS of a node daemon: {_words(error)}"


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it was closed by the node"
    number = getattr(error, "errno", None)
    if number == errno.ECONNREFUSED:
        return "connection refused"
    if isinstance(number, int) and number in errno.errorcode and not isinstance(error, ssl.SSLError):
        return os.strerror(number).lower()
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__

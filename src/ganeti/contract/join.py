"""How a host becomes a node: the token it is given, and what it says to the master's enrolment port.

The enrolment port serves HTTP over TLS with the master's node certificate and asks for no certificate. It listens only
while there are tokens. `GET /about` may be asked by whoever does not trust it yet: the authority in its answer is trusted
if its fingerprint is the one in the token. Then, verified by that authority:

| request | body | answer |
|---|---|---|
| POST /join | `JoinRequest` | `JoinAnswer`; the token is used up now |
| POST /joined | `Proof`, when the node daemon serves | `{"job": 7}`: OP_NODE_ADD |
| POST /news | `NewsOf` | `JobNews` of that job, at once when there is news, else after a while |

Errors are `{"error": {"class", "code", "message", "facts"}}` as in the local API.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.settings import NodeSettings

DEFAULT_PORT: Final = 1812
MAX_DRIFT_S: Final = 150.0
"""How far the clocks of two nodes may be apart."""

_MARK: Final = "gnt1"
_CHECK_BYTES: Final = 4


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What `ganeti-join` needs: where to go, whom to trust there (`authority`: SHA-256 of its certificate), and the secret."""

    host: str
    port: int
    authority: bytes
    id: str
    secret: bytes

    def text(self) -> str:
        """As one word to copy."""
        body = msgspec.msgpack.encode(self)
        return _MARK + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def read_token(text: str) -> Token:
    """The token that `gnt-cluster join-token` printed. `Refused` (wrong_input) when a part is missing or mistyped."""
    word = "".join(text.split())
    body, check = b"", b"-"
    if word.startswith(_MARK) and word.isascii():
        packed = word.removeprefix(_MARK)
        try:
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        except ValueError:
            pass  # judged below, with all other ways of not being a token
    if not body or check != _check(body):
        raise Refused(
            WRONG_INPUT,
            "this is not a whole join token; copy all of the line that 'gnt-cluster join-token' prints on the master",
        )
    return msgspec.msgpack.decode(body, type=Token)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]


class TokenWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a token shall be good for: POST /join-token of the local API. `node_name`: only the host of that name may use it."""

    ttl_s: int = 3600
    node_name: str | None = None
    readd: bool = False
    group: str | None = None
    secondary_ip: str | None = None
    master_capable: bool | None = None
    vm_capable: bool | None = None
    ndparams: dict[str, object] | None = None
    priority: int = 0


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster, as told to a host that wants in. `authority` is the certificate (PEM)."""

    cluster_name: str
    cluster_uuid: str
    family: int
    version: str
    authority: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks: the token."""

    id: str
    secret: bytes


class JoinRequest(Proof, frozen=True, kw_only=True):
    """The host, and the request (PEM) for the certificate of the key it has made. `protocol`: `base.version.PROTOCOL`."""

    node_name: str
    primary_ip: str
    secondary_ip: str
    request: str
    version: str
    protocol: int
    now_s: float


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What makes the host a node: its certificate (PEM) and its settings."""

    certificate: str
    settings: NodeSettings


class NewsOf(Proof, frozen=True, kw_only=True):
    """What the host knows of the job that adds it."""

    status: str | None = None
    log_serial: int = 0

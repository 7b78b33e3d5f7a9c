"""The real outside world of membership: the cluster's authority in its files, the enrolment port, the resolver."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, cast

from ganeti.base.clock import Clock
from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.ids import Ids
from ganeti.base.paths import Paths
from ganeti.contract.join import DEFAULT_PORT
from ganeti.main.detect import SystemNames
from ganeti.master.enrol import Answer
from ganeti.wire import certificates, enrolment


class FileAuthority:
    """The authority whose certificate and key are in the data directory. Read at every use."""

    def __init__(self, *, files: Files, paths: Paths, clock: Clock, ids: Ids) -> None:
        self._files, self._paths, self._clock, self._ids = files, paths, clock, ids

    @property
    def certificate(self) -> bytes:
        """See `Authority.certificate`."""
        return self._files.read(self._paths.ca_certificate)

    @property
    def fingerprint(self) -> bytes:
        """See `Authority.fingerprint`."""
        return bytes.fromhex(certificates.fingerprint(self.certificate))

    def key(self) -> str | None:
        """Its key (PEM), or None when this node has none."""
        try:
            return self._files.read(self._paths.ca_key).decode()
        except FileNotFoundError:
            return None

    def sign(self, request: bytes, *, node_name: str, addresses: list[str]) -> tuple[bytes, str]:
        """See `Authority.sign`."""
        key = self.key()
        if key is None:
            raise Failed(
                f"the key of the cluster's authority, {self._paths.ca_key}, is not here; copy it from another master "
                "candidate",
                path=self._paths.ca_key,
            )
        certificate = certificates.sign_request(
            certificates.KeyPair(self.certificate, key.encode()),
            request,
            node_name=node_name,
            addresses=addresses,
            serial=certificates.fresh_serial(self._ids),
            now_s=self._clock.now_s(),
        )
        return certificate, certificates.fingerprint(certificate)


class FrontDoor:
    """See `master.enrol.Doors`."""

    def __init__(self, authority: FileAuthority, *, certificate_file: str, port: int = DEFAULT_PORT) -> None:
        self.authority = authority
        self.port = port
        self._certificate_file = certificate_file
        self._names = SystemNames()

    def listening(self, host: str, answer: Answer) -> AbstractAsyncContextManager[int]:
        """See `Doors.listening`."""
        return enrolment.listening(host, self.port, certificate_file=self._certificate_file, answer=answer)

    async def addresses(self, name: str, family: int) -> tuple[str, ...]:
        """See `Doors.addresses`."""
        return await self._names.addresses(name, cast(Literal[4, 6], family))

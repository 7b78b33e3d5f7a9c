"""The keys of a migration: QEMU gets this node's certificate, and lets in one peer only, known by its own."""

from __future__ import annotations

import os
import re
from typing import Final, Literal

from ganeti.base.errors import ENVIRONMENT, Refused
from ganeti.base.files import Files
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Monitor
from ganeti.drivers.hypervisor.kvm.runtime import Places

CREDENTIALS: Final = "migration-tls"
ADMITTED: Final = "migration-peer"
_LONGEST_COMMON_NAME: Final = 64
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)

Endpoint = Literal["server", "client"]


class Keys:
    """Hands this node's certificate to a QEMU. `certificate` is a PEM file with its key, `authority` that of the CA."""

    def __init__(self, files: Files, places: Places, *, certificate: str, authority: str) -> None:
        self._files = files
        self._places = places
        self._certificate = certificate
        self._authority = authority

    def missing(self) -> list[str]:
        """Which files are not there."""
        return [path for path in (self._certificate, self._authority) if not self._files.exists(path)]

    async def give(self, monitor: Monitor, name: str, endpoint: Endpoint) -> None:
        """Make the object `CREDENTIALS` in QEMU. It reads the files once, so they are there no longer than that."""
        parts = self._parts(endpoint)
        directory = f"{self._places.root}/tls/{name}"
        await self.take_away(monitor)
        self._files.make_dirs(directory, mode=0o700)
        try:
            for file_name, content in parts.items():
                self._files.write(f"{directory}/{file_name}", content, mode=0o600)
            await monitor.execute(
                "object-add",
                qom_type="tls-creds-x509",
                id=CREDENTIALS,
                dir=directory,
                endpoint=endpoint,
                verify_peer=True,
                # QEMU's own look at the usage bits wants keyEncipherment, which keys for TLS 1.3 do not have.
                sanity_check=False,
            )
        finally:
            for file_name in parts:
                self._files.remove(f"{directory}/{file_name}")
            self._files.remove_dir(directory)

    async def admit(self, monitor: Monitor, peer: str) -> None:
        """Make the object `ADMITTED`: who connects must show a certificate with that common name."""
        identity = f"CN={peer[:_LONGEST_COMMON_NAME]}"
        await monitor.execute("object-add", qom_type="authz-simple", id=ADMITTED, identity=identity)

    async def take_away(self, monitor: Monitor) -> None:
        """Both objects; fine when they are not there."""
        for name in (CREDENTIALS, ADMITTED):
            try:
                await monitor.execute("object-del", id=name)
            except CommandError as error:
                if "not found" not in error.message:
                    raise

    def _parts(self, endpoint: Endpoint) -> dict[str, bytes]:
        if missing := self.missing():
            raise Refused(
                ENVIRONMENT,
                f"{' and '.join(missing)} not there: without the cluster's certificates no guest can move; renew them with "
                "'gnt-cluster renew-crypto'",
            )
        blocks = [(match[1], match[0]) for match in _BLOCK.finditer(self._files.read(self._certificate))]
        certificate = b"".join(block for kind, block in blocks if kind == b"CERTIFICATE")
        key = b"".join(block for kind, block in blocks if kind.endswith(b"PRIVATE KEY"))
        if not certificate or not key:
            raise Refused(ENVIRONMENT, f"{self._certificate} does not hold both a certificate and its key")
        return {
            "ca-cert.pem": self._files.read(self._authority),
            f"{endpoint}-cert.pem": certificate + os.linesep.encode(),
            f"{endpoint}-key.pem": key + os.linesep.encode(),
        }

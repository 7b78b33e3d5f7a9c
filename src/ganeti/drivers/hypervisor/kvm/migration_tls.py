"""The keys of a migration: QEMU gets this node's certificate, and lets in one peer only, known by its own."""

from __future__ import annotations

from typing import Final

from ganeti.base.files import Files
from ganeti.drivers.certificates import Certificates, Endpoint, identity
from ganeti.drivers.hypervisor.kvm.monitor import CommandError, Monitor
from ganeti.drivers.hypervisor.kvm.runtime import Places

CREDENTIALS: Final = "migration-tls"
ADMITTED: Final = "migration-peer"


class Keys:
    """Hands this node's certificate to a QEMU. `certificate` is a PEM file with its key, `authority` that of the CA."""

    def __init__(self, files: Files, places: Places, *, certificate: str, authority: str) -> None:
        self._certificates = Certificates(files, certificate=certificate, authority=authority)
        self._places = places

    def missing(self) -> list[str]:
        """Which files are not there."""
        return self._certificates.missing()

    async def give(self, monitor: Monitor, name: str, endpoint: Endpoint) -> None:
        """Make the object `CREDENTIALS` in QEMU. It reads the files once, so they are there no longer than that."""
        directory = f"{self._places.root}/tls/{name}"
        await self.take_away(monitor)
        try:
            self._certificates.lay_out(directory, endpoint)
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
            self._certificates.clear(directory)

    async def admit(self, monitor: Monitor, peer: str) -> None:
        """Make the object `ADMITTED`: who connects must show a certificate with that name."""
        await monitor.execute("object-add", qom_type="authz-simple", id=ADMITTED, identity=identity(peer))

    async def take_away(self, monitor: Monitor) -> None:
        """Both objects; fine when they are not there."""
        for name in (CREDENTIALS, ADMITTED):
            try:
                await monitor.execute("object-del", id=name)
            except CommandError as error:
                if "not found" not in error.message:
                    raise

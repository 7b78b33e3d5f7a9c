"""This node's certificate as programs of QEMU want it: three files in a directory that is there for a moment only."""

from __future__ import annotations

import re
from typing import Final, Literal

from ganeti.base.errors import ENVIRONMENT, Refused
from ganeti.base.files import Files

LONGEST_COMMON_NAME: Final = 64
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)

Endpoint = Literal["server", "client"]


class Certificates:
    """`certificate` is a PEM file with this node's certificate and key, `authority` the one of the cluster's CA."""

    def __init__(self, files: Files, *, certificate: str, authority: str) -> None:
        self._files = files
        self._certificate = certificate
        self._authority = authority

    def missing(self) -> list[str]:
        """Which of the two are not there."""
        return [path for path in (self._certificate, self._authority) if not self._files.exists(path)]

    def lay_out(self, directory: str, endpoint: Endpoint) -> None:
        """Write the files of a server or a client, readable by root only. `Refused` when there is no certificate."""
        if missing := self.missing():
            raise Refused(
                ENVIRONMENT,
                f"{' and '.join(missing)} not there: without the cluster's certificates nothing goes from node to node; "
                "renew them with 'gnt-cluster renew-crypto'",
            )
        blocks = [(match[1], match[0]) for match in _BLOCK.finditer(self._files.read(self._certificate))]
        certificate = b"".join(block for kind, block in blocks if kind == b"CERTIFICATE")
        key = b"".join(block for kind, block in blocks if kind.endswith(b"PRIVATE KEY"))
        if not certificate or not key:
            raise Refused(ENVIRONMENT, f"{self._certificate} does not hold both a certificate and its key")
        self._files.make_dirs(directory, mode=0o700)
        contents = {
            "ca-cert.pem": self._files.read(self._authority),
            f"{endpoint}-cert.pem": certificate + b"\n",
            f"{endpoint}-key.pem": key + b"\n",
        }
        for name, content in contents.items():
            self._files.write(f"{directory}/{name}", content, mode=0o600)

    def clear(self, directory: str) -> None:
        """Remove the files and their directory; fine when they are not there."""
        for name in self._files.list_dir(directory):
            self._files.remove(f"{directory}/{name}")
        self._files.remove_dir(directory)


def identity(peer: str) -> str:
    """The name of a node as its certificate has it, in the form that QEMU compares."""
    return f"CN={peer[:LONGEST_COMMON_NAME]}"

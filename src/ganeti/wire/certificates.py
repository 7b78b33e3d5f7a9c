"""Make and read the X.509 certificates of a cluster: its authority, and one certificate for each node.

Pure but for the keys themselves, which come from the operating system's entropy. Making needs `cryptography`,
which is imported then; fingerprints need nothing, so that a daemon that only serves stays small.
"""

from __future__ import annotations

import binascii
import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

DAY_S: Final = 86_400.0
CA_VALID_S: Final = 20 * 365 * DAY_S
NODE_VALID_S: Final = 5 * 365 * DAY_S
SKEW_S: Final = DAY_S
"""Certificates are valid from a day ago, for nodes whose clock is behind."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_LONGEST_COMMON_NAME: Final = 64


class KeyPair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    @property
    def pem(self) -> bytes:
        """Both in one, as `Paths.node_certificate` holds them."""
        return self.certificate + self.key


def fresh_serial(ids: Ids) -> int:
    """A serial number nobody can guess, of at most 127 bits and never zero (RFC 5280, 4.1.2.2)."""
    return (int.from_bytes(ids.random_bytes(16), "big") >> 1) | 1


def make_ca(*, cluster_name: str, serial: int, now_s: float, valid_s: float = CA_VALID_S) -> KeyPair:
    """A new authority that may sign node certificates and nothing below them."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{cluster_name} authority")
    builder = (
        _builder(subject=name, issuer=name, public_key=key.public_key(), serial=serial, now_s=now_s, valid_s=valid_s)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _sign(builder, key=key, signer=key)


def make_node(
    ca: KeyPair,
    *,
    node_name: str,
    addresses: Sequence[str],
    serial: int,
    now_s: float,
    valid_s: float = NODE_VALID_S,
) -> KeyPair:
    """A certificate with which a node serves and calls. `addresses` are its IP addresses.

    `Refused` (wrong_input) when an address is not one, or when the authority's key is not its certificate's.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(
        ca, key.public_key(), node_name=node_name, addresses=addresses, serial=serial, now_s=now_s, valid_s=valid_s
    )
    return KeyPair(certificate=certificate, key=_private_pem(key))


def make_request(node_name: str) -> KeyPair:
    """A new key, and the request (PEM, in place of the certificate) that an authority signs. The key stays where it is."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(node_name)).sign(key, hashes.SHA256())
    return KeyPair(certificate=request.public_bytes(Encoding.PEM), key=_private_pem(key))


def sign_request(
    ca: KeyPair,
    request: bytes,
    *,
    node_name: str,
    addresses: Sequence[str],
    serial: int,
    now_s: float,
    valid_s: float = NODE_VALID_S,
) -> bytes:
    """The certificate (PEM) for the key of a request; what it says of itself but for the key does not count.

    `Refused` (wrong_input) for what is no request, whose signature is not that of its key, or with another kind of key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError as error:
        raise Refused(WRONG_INPUT, f"the request for a certificate cannot be read: {error}") from error
    key = asked.public_key()
    if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused(WRONG_INPUT, "the request for a certificate is not signed by its own elliptic-curve key")
    return _certify(ca, key, node_name=node_name, addresses=addresses, serial=serial, now_s=now_s, valid_s=valid_s)


def _certify(
    ca: KeyPair,
    key: ec.EllipticCurvePublicKey,
    *,
    node_name: str,
    addresses: Sequence[str],
    serial: int,
    now_s: float,
    valid_s: float,
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate(ca.certificate)
    signer = load_pem_private_key(ca.key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != authority.public_key():
        raise Refused(WRONG_INPUT, "the authority's key does not belong to its certificate")
    try:
        ips = [ipaddress.ip_address(address) for address in addresses]
    except ValueError as error:
        raise Refused(WRONG_INPUT, f"cannot certify node {node_name}: {error}", node=node_name) from error
    builder = (
        _builder(
            subject=_name(node_name),
            issuer=authority.subject,
            public_key=key,
            serial=serial,
            now_s=now_s,
            valid_s=valid_s,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(node_name), *map(x509.IPAddress, ips)]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def fingerprint(pem: bytes) -> str:
    """SHA-256 (hex) of the first certificate in a PEM file; what `Node.certificate` and `callers` hold."""
    start, end = pem.find(_BEGIN), pem.find(_END)
    if start < 0 or end < start:
        raise Refused(WRONG_INPUT, "there is no certificate in these PEM data")
    try:
        return fingerprint_der(binascii.a2b_base64(pem[start + len(_BEGIN) : end]))
    except binascii.Error as error:
        raise Refused(WRONG_INPUT, f"the certificate in these PEM data is broken: {error}") from error


def fingerprint_der(der: bytes) -> str:
    """SHA-256 (hex) of a certificate in binary form."""
    return hashlib.sha256(der).hexdigest()


def expires_s(pem: bytes) -> float:
    """When the first certificate in a PEM file ends, in seconds since the epoch."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # Longer names are legal for hosts but not in this field; what is checked is the full name in subjectAltName.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    serial: int,
    now_s: float,
    valid_s: float,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(_moment(now_s - SKEW_S))
        .not_valid_after(_moment(now_s + valid_s))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _moment(at_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(at_s), tz=datetime.UTC)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    builder: x509.CertificateBuilder, *, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> KeyPair:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(certificate=certificate.public_bytes(Encoding.PEM), key=_private_pem(key))


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

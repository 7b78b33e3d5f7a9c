"""Certificates: what is in them, and what cannot be made."""

import random
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ganeti.base.errors import Refused
from ganeti.base.ids import SeededIds
from ganeti.wire import certificates

NOW_S = 1_790_000_000.0


@pytest.fixture(scope="module")
def ca() -> certificates.KeyPair:
    return certificates.make_ca(cluster_name="cluster.example.com", serial=1, now_s=NOW_S)


@pytest.fixture(scope="module")
def node(ca: certificates.KeyPair) -> certificates.KeyPair:
    return certificates.make_node(
        ca, node_name="node1.example.com", addresses=["192.0.2.1", "2001:db8::1"], serial=2, now_s=NOW_S
    )


def test_a_node_certificate_names_the_node_and_its_addresses_and_serves_both_ends(node: certificates.KeyPair):
    read = x509.load_pem_x509_certificate(node.certificate)
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uses = read.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "node1.example.com"
    assert names.get_values_for_type(x509.DNSName) == ["node1.example.com"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert read.serial_number == 2


def test_the_authority_signs_nodes_and_nodes_sign_nobody(ca: certificates.KeyPair, node: certificates.KeyPair):
    authority, leaf = (x509.load_pem_x509_certificate(pair.certificate) for pair in (ca, node))
    leaf.verify_directly_issued_by(authority)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_end_of_a_certificate_is_what_was_asked_and_its_start_forgives_slow_clocks(ca: certificates.KeyPair):
    pair = certificates.make_node(ca, node_name="n", addresses=[], serial=3, now_s=NOW_S, valid_s=60.0)
    assert certificates.expires_s(pair.pem) == NOW_S + 60
    start = x509.load_pem_x509_certificate(pair.certificate).not_valid_before_utc.timestamp()
    assert start == NOW_S - certificates.SKEW_S


def test_the_fingerprint_is_the_one_tls_sees_wherever_the_key_stands(node: certificates.KeyPair):
    der = ssl.PEM_cert_to_DER_cert(node.certificate.decode())
    assert certificates.fingerprint(node.certificate) == certificates.fingerprint_der(der)
    assert certificates.fingerprint(node.pem) == certificates.fingerprint(node.key + node.certificate)
    assert len(certificates.fingerprint(node.pem)) == 64


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----", b"hello"])
def test_what_holds_no_certificate_has_no_fingerprint(pem: bytes):
    with pytest.raises(Refused, match="no certificate"):
        certificates.fingerprint(pem)


def test_a_pem_file_of_both_is_what_tls_loads(node: certificates.KeyPair, tmp_path: Path):
    (tmp_path / "node.pem").write_bytes(node.pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(tmp_path / "node.pem"))


def test_a_key_of_another_authority_signs_nothing(ca: certificates.KeyPair):
    other = certificates.make_ca(cluster_name="c2", serial=1, now_s=NOW_S)
    mixed = certificates.KeyPair(certificate=ca.certificate, key=other.key)
    with pytest.raises(Refused, match="does not belong"):
        certificates.make_node(mixed, node_name="n", addresses=[], serial=3, now_s=NOW_S)


def test_what_is_no_address_is_refused_by_name(ca: certificates.KeyPair):
    with pytest.raises(Refused, match=r"node n: 'node7' does not appear"):
        certificates.make_node(ca, node_name="n", addresses=["node7"], serial=3, now_s=NOW_S)


def test_a_name_longer_than_x509_takes_as_common_name_is_whole_where_it_is_checked(ca: certificates.KeyPair):
    name = ".".join(["a" * 60, "b" * 60, "example", "com"])
    pair = certificates.make_node(ca, node_name=name, addresses=[], serial=3, now_s=NOW_S)
    read = x509.load_pem_x509_certificate(pair.certificate)
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]


def test_serials_are_positive_differ_and_fit_the_standard():
    ids = SeededIds(random.Random(1))
    serials = {certificates.fresh_serial(ids) for _ in range(100)}
    assert len(serials) == 100
    assert all(0 < serial < 2**127 for serial in serials)

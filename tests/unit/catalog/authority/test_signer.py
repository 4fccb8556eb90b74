"""The signer: what its certificates say, and that TLS accepts them, and only for what they say."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog.authority.signer import RootKey, make_root, new_trust_domain, sign_leaf
from mesh.model.identity import Kind, SpiffeId
from mesh.model.names import InvalidNameError, check_trust_domain

WEB = SpiffeId("td.test", Kind.SERVICE, "dc1", "web")


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_root(root: RootKey, now_s: float) -> None:
    """A root says who it is, lives ten years, and signs for its trust domain alone."""
    certificate = parsed(root.pem)
    found = certificate.extensions
    assert found.get_extension_for_class(x509.BasicConstraints).value.ca
    constraints = found.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.UniformResourceIdentifier("td.test")]
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td.test"]
    days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days
    assert days == 3650
    assert certificate.not_valid_before_utc.timestamp() == now_s - 3600
    assert len(root.id) == 95
    assert "PRIVATE" not in repr(root)


def test_leaf(root: RootKey, now_s: float) -> None:
    """A leaf: one URI SAN, critical, for client and server, no authority, a day long, valid a minute back."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign_leaf(root, WEB, key.public_key(), now_s, 86400)
    certificate = parsed(leaf.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [str(WEB)] == [leaf.uri]
    assert names.value.get_values_for_type(x509.DNSName) == ["web.default.dc1.internal.td.test"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {purpose.dotted_string for purpose in purposes} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert (leaf.not_before_s, leaf.not_after_s) == (now_s - 60, now_s + 86400)
    assert int(leaf.serial, 16) == certificate.serial_number
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(root.certificate)


def test_server_names(root: RootKey, now_s: float) -> None:
    """The catalog's own certificate is found by its names and on loopback."""
    server = SpiffeId("td.test", Kind.SERVER, "dc1")
    leaf = sign_leaf(root, server, ec.generate_private_key(ec.SECP256R1()).public_key(), now_s, 86400)
    names = parsed(leaf.certificate_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["server.dc1.td.test", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_leaf_ends_with_its_root(root: RootKey, now_s: float) -> None:
    """No leaf outlives the root that signed it."""
    late_s = root.certificate.not_valid_after_utc.timestamp() - 100
    leaf = sign_leaf(root, WEB, ec.generate_private_key(ec.SECP256R1()).public_key(), late_s, 86400)
    assert leaf.not_after_s == late_s + 100
    assert now_s < leaf.not_after_s


def test_serials_differ(root: RootKey, now_s: float) -> None:
    """Serial numbers are random."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert len({sign_leaf(root, WEB, key, now_s, 600).serial for _ in range(20)}) == 20


def test_trust_domains() -> None:
    """A new trust domain is unique and well formed; a bad one gets no root."""
    assert new_trust_domain() != new_trust_domain()
    check_trust_domain(new_trust_domain())
    with pytest.raises(InvalidNameError):
        make_root("Bad Domain", 0)


def context(root: RootKey, leaf_pem: str, key: Any, tmp_path: Path, side: int) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    made.load_verify_locations(cadata=root.pem)
    file = tmp_path / f"{side}.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + leaf_pem.encode())
    made.load_cert_chain(file)
    return made


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> ssl.SSLObject:
    """A handshake in memory; the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_side=False, server_hostname=name)
    two = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for end in (one, two):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    two.do_handshake()
    return one


def test_handshake(tmp_path: Path) -> None:
    """OpenSSL accepts both ends, by SPIFFE ID and by host name, and refuses a leaf that the root may not have signed."""
    import time

    now_s = time.time()
    root = make_root("td.test", now_s)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign_leaf(root, WEB, key.public_key(), now_s, 600)
    server = context(root, leaf.certificate_pem, key, tmp_path, ssl.PROTOCOL_TLS_SERVER)
    client = context(root, leaf.certificate_pem, key, tmp_path, ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = True
    seen = shake(server, client, "web.default.dc1.internal.td.test").getpeercert()
    assert seen is not None
    assert ("URI", str(WEB)) in seen["subjectAltName"]
    assert seen["serialNumber"] == leaf.serial
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname"):
        shake(server, client, "api.default.dc1.internal.td.test")
    stray = sign_leaf(root, SpiffeId("other.test", Kind.SERVICE, "dc1", "web"), key.public_key(), now_s, 600)
    client.check_hostname = False
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake(context(root, stray.certificate_pem, key, tmp_path, ssl.PROTOCOL_TLS_SERVER), client)

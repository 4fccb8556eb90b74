"""TLS contexts of the mesh."""

import ssl
from pathlib import Path

import msgspec
import pytest

from mesh.identity.context import UnusableIdentityError, client_context, server_context
from mesh.model.snapshot import Root, Roots
from tests.fakes.authority import TRUST_DOMAIN, Authority, service_uri

AUTHORITY = Authority()
DESCRIPTORS = Path("/proc/self/fd")
LEAF = AUTHORITY.leaf(service_uri("web"))


def test_both_sides_are_strict():
    """TLS 1.3 only, the peer's certificate demanded, no tickets, and no name check that would pretend to be identity."""
    for context in (server_context(LEAF, AUTHORITY.roots(), ("h2",)), client_context(LEAF, AUTHORITY.roots(), ("h2",))):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert not context.check_hostname
    assert server_context(LEAF, AUTHORITY.roots(), ()).num_tickets == 0


def test_no_roots_is_no_context():
    """An empty bundle would verify nobody: it is refused, not used."""
    with pytest.raises(UnusableIdentityError, match="holds no root"):
        client_context(LEAF, Roots(TRUST_DOMAIN, 1))


def test_a_broken_root_is_named():
    """A root that is no PEM is refused."""
    with pytest.raises(UnusableIdentityError, match="cannot be read as PEM"):
        client_context(LEAF, Roots(TRUST_DOMAIN, 1, (Root("x", "no pem"),)))


def test_a_key_of_another_certificate_is_refused():
    """Certificate and key must fit; the text names the certificate and never the key."""
    other = AUTHORITY.leaf(service_uri("api"))
    with pytest.raises(UnusableIdentityError) as caught:
        server_context(msgspec.structs.replace(LEAF, key_pem=other.key_pem), AUTHORITY.roots(), ())
    assert LEAF.uri in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_no_descriptor_is_left_open():
    """The file in memory that carries the key is closed at once, also on failure."""
    before = len(list(DESCRIPTORS.iterdir()))
    server_context(LEAF, AUTHORITY.roots(), ())
    with pytest.raises(UnusableIdentityError):
        server_context(msgspec.structs.replace(LEAF, key_pem=b"junk"), AUTHORITY.roots(), ())
    assert len(list(DESCRIPTORS.iterdir())) == before

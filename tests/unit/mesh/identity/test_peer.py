"""The judgement on peers, by real handshakes in memory and by table."""

import ssl
import time
from typing import Any

import pytest

from mesh.identity.context import client_context, server_context
from mesh.identity.leaf import Leaf
from mesh.identity.peer import Peer, PeerRefusedError, check_peer, explain_handshake_failure, inspect_peer, recheck_peer
from mesh.model.identity import service_id
from mesh.model.snapshot import Roots
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, service_uri

AUTHORITY = Authority()
ROOTS = AUTHORITY.roots()
WEB = AUTHORITY.leaf(service_uri("web"))
API = AUTHORITY.leaf(service_uri("api"))


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Join two TLS ends in memory until both are done; raises what either end raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    calling = client.wrap_bio(to_client, to_server, server_hostname="any.name")
    waiting = [calling, serving]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return serving, calling
    raise AssertionError("the handshake does not end")


def meet(client_leaf: Leaf | None, *, server_roots: Roots = ROOTS, client_roots: Roots = ROOTS) -> ssl.SSLObject:
    """The server's end after a handshake with a client that shows `client_leaf`."""
    return shake_hands(server_context(API, server_roots, ()), client_context(client_leaf, client_roots))[0]


def refusal(peer: ssl.SSLObject | dict[str, Any] | None, roots: Roots = ROOTS, now_s: float | None = None) -> str:
    """The reason that `check_peer` refuses with."""
    with pytest.raises(PeerRefusedError) as caught:
        check_peer(peer, roots, time.time() if now_s is None else now_s)
    assert "\n" not in caught.value.reason
    return caught.value.reason


def test_a_leaf_of_our_authority_is_its_service():
    """After a handshake both ends know the other's SPIFFE ID."""
    serving, calling = shake_hands(server_context(API, ROOTS, ()), client_context(WEB, ROOTS))
    assert check_peer(serving, ROOTS, time.time()) == service_id(TRUST_DOMAIN, DATACENTER, "web")
    assert check_peer(calling, ROOTS, time.time()) == service_id(TRUST_DOMAIN, DATACENTER, "api")
    assert serving.version() == calling.version() == "TLSv1.3"


@pytest.mark.parametrize(("uris", "count"), [((), "0"), ((service_uri("web"), service_uri("api")), "2")])
def test_not_exactly_one_uri_san_is_refused(uris: tuple[str, ...], count: str):
    """None and two URI SANs are refused although OpenSSL accepts the chain."""
    assert refusal(meet(AUTHORITY.leaf(*uris))) == f"the peer's certificate has {count} URI SANs, not exactly one"


def test_other_trust_domain_is_refused():
    """A name of another trust domain is refused even when our own root signed it."""
    reason = refusal(meet(AUTHORITY.leaf(service_uri("web", "other.mesh"))))
    assert "another trust domain" in reason
    assert "other.mesh" in reason


@pytest.mark.parametrize(
    "uri", ["spiffe://test.linkspan", "https://test.linkspan/x", "spiffe://test.linkspan/ns/default/dc/dc1/svc/"]
)
def test_a_uri_that_names_nobody_is_refused(uri: str):
    """A URI SAN that is no SPIFFE ID of the mesh is refused."""
    assert refusal(meet(AUTHORITY.leaf(uri))).startswith("the peer's certificate: ")


def test_expiry_is_checked_again():
    """A certificate that ends during a connection is refused at the next look."""
    peer = meet(WEB)
    assert "expired" in refusal(peer, now_s=WEB.not_after_s + 1)


@pytest.mark.parametrize(
    "spell",
    [str, str.upper, lambda serial: ":".join(serial[i : i + 2] for i in range(0, len(serial), 2)), lambda s: "00" + s],
)
def test_revoked_serials_are_refused_however_spelt(spell: Any):
    """A serial in the bundle's revocations is refused, in OpenSSL's and in Consul's spelling."""
    assert "revoked" in refusal(meet(WEB), AUTHORITY.roots(revoked_serials=(spell(WEB.serial),)))


def test_recheck_finds_a_later_revocation():
    """What was admitted can be looked at again against newer roots without its connection."""
    peer = inspect_peer(meet(WEB), ROOTS, time.time())
    recheck_peer(peer, ROOTS, time.time())
    with pytest.raises(PeerRefusedError, match="revoked"):
        recheck_peer(peer, AUTHORITY.roots(revoked_serials=(WEB.serial,)), time.time())


def test_no_certificate_is_refused():
    """A missing certificate is a refusal, not an identity."""
    for nothing in (None, {}):
        assert refusal(nothing) == "the peer showed no certificate"


@pytest.mark.parametrize("missing", ["serialNumber", "notAfter"])
def test_unreadable_certificates_are_refused(missing: str):
    """Missing facts deny."""
    certificate = {
        "subjectAltName": (("URI", service_uri("web")),),
        "serialNumber": "01",
        "notAfter": "Jan  1 00:00:00 2040 GMT",
    }
    assert check_peer(certificate, ROOTS, 0.0).name == "web"
    del certificate[missing]
    assert refusal(certificate, now_s=0.0)


def test_peer_is_a_plain_value():
    """A peer can be compared and kept."""
    assert Peer(service_id("a", "b", "c"), "1", 2.0) == Peer(service_id("a", "b", "c"), "1", 2.0)


def handshake_text(client_leaf: Leaf | None, *, server_roots: Roots = ROOTS, client_roots: Roots = ROOTS) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        meet(client_leaf, server_roots=server_roots, client_roots=client_roots)
    return explain_handshake_failure(caught.value)


STRANGER = Authority(common_name="stranger")


def test_another_authority_is_refused_in_the_handshake():
    """A client from another authority is refused by OpenSSL, and the text says so on the server's side."""
    assert handshake_text(STRANGER.leaf(service_uri("web"))).startswith("unknown CA")


def test_an_expired_client_is_refused_in_the_handshake():
    """An expired client is refused by OpenSSL, and the text says so."""
    assert (
        handshake_text(AUTHORITY.leaf(service_uri("web"), begin_s=-7200, life_s=-3600)) == "the certificate has expired"
    )


def test_a_client_from_the_future_is_refused_in_the_handshake():
    """A certificate that is not valid yet names the clocks."""
    assert "not valid yet" in handshake_text(AUTHORITY.leaf(service_uri("web"), begin_s=3600))


def test_a_client_without_certificate_is_refused_in_the_handshake():
    """Mesh listeners demand a certificate."""
    assert handshake_text(None) == "the peer showed no certificate"


def test_a_client_refuses_a_strange_server():
    """The client's side explains too."""
    assert handshake_text(WEB, client_roots=STRANGER.roots()).startswith("unknown CA")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ssl.SSLEOFError(8, "EOF occurred"), "the peer closed the connection during the handshake"),
        (ssl.SSLZeroReturnError(6, "closed (EOF)"), "the peer closed the connection during the handshake"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection failed: Connection reset by peer"),
        (OSError("odd"), "the connection failed: odd"),
    ],
)
def test_other_failures_are_one_line(error: OSError, text: str):
    """What is no certificate's fault is named too."""
    assert explain_handshake_failure(error) == text


def test_plain_bytes_are_named():
    """Something that is not TLS is named as that."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server_context(API, ROOTS, ()).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        serving.do_handshake()
    assert explain_handshake_failure(caught.value) == "the peer sent plain HTTP to a TLS port"


def test_old_tls_is_refused():
    """Mesh listeners speak TLS 1.3 only."""
    old = client_context(WEB, ROOTS)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(server_context(API, ROOTS, ()), old)
    assert explain_handshake_failure(caught.value) == "the peer does not speak TLS 1.3"

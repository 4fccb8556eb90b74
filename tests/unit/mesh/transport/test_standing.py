"""Which root a connection stands on: told of both sides, and by the root itself, not by its name."""

import socket
import ssl

import pytest
import trio

from mesh.identity.context import client_context, server_context
from mesh.model.snapshot import Root, Roots
from mesh.transport.standing import root_digest, trusted_digests
from mesh.transport.tls import handshake
from tests.fakes.authority import TRUST_DOMAIN, Authority, service_uri

OLD, NEW = Authority(common_name="old"), Authority(common_name="new")
NAMESAKE = Authority(common_name="old")
BOTH = Roots(TRUST_DOMAIN, 1, (Root("old", OLD.root_pem), Root("new", NEW.root_pem)))


async def shake() -> list[ssl.SSLSocket]:
    """A server's end with a certificate of `OLD`, and a client's with one of `NEW`."""
    server, client = socket.socketpair()
    ends: list[ssl.SSLSocket] = []

    async def run(sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        sock.settimeout(0)
        ends.append(await handshake(sock, context, server_name=name))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, server, server_context(OLD.leaf(service_uri("api")), BOTH, ()), None)
        nursery.start_soon(run, client, client_context(NEW.leaf(service_uri("web")), BOTH), "api")
    return sorted(ends, key=lambda end: end.server_side)


async def test_each_side_stands_on_the_others_root() -> None:
    """A bundle holds it up as long as that very root is in it."""
    client, server = await shake()
    with client, server:
        for end, own, other in ((client, OLD, NEW), (server, NEW, OLD)):
            digest = root_digest(end)
            assert len(digest) == 32
            assert digest in trusted_digests(BOTH)
            assert digest in trusted_digests(own.roots())
            assert digest not in trusted_digests(other.roots())
            assert digest not in trusted_digests(NAMESAKE.roots())


def test_what_has_no_chain_stands_on_nothing() -> None:
    """Before a handshake, and without TLS, there is no root; no bundle holds it up."""
    context = client_context(None, BOTH)
    near, far = socket.socketpair()
    with far, context.wrap_socket(near, do_handshake_on_connect=False, server_hostname="a") as tls:
        assert root_digest(tls) == b""
    assert b"" not in trusted_digests(BOTH)


def test_a_bundle_that_cannot_be_read_is_an_error() -> None:
    """It is no empty bundle."""
    with pytest.raises(ValueError, match="PEM"):
        trusted_digests(Roots(TRUST_DOMAIN, 1, (Root("a", "nonsense"),)))

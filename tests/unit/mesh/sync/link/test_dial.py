"""Opening connections, over real sockets on loopback: whom one has reached is checked."""

import time
from pathlib import Path

import pytest
import trio

from mesh.identity.context import server_context
from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.sync.link.address import HostPort
from mesh.sync.link.dial import CatalogDialler, PlainDialler, UnixDialler
from mesh.sync.link.errors import UnreachableError
from tests.fakes.authority import Authority, node_uri, server_uri, service_uri

AUTHORITY = Authority()
ROOTS = AUTHORITY.roots()
STRANGER = Authority()
OWN = LiveIdentity(AUTHORITY.leaf(node_uri("vm1")), ROOTS)


async def serve_tls(nursery: trio.Nursery, leaf: Leaf) -> HostPort:
    """A TLS listener that shows `leaf` and sends one word."""
    context = server_context(leaf, ROOTS, ("http/1.1",))

    async def handle(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await tls.send_all(b"word")
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(tls)

    listeners = await nursery.start(trio.serve_tcp, handle, 0)
    return HostPort("127.0.0.1", listeners[0].socket.getsockname()[1])


async def refusal(nursery: trio.Nursery, leaf: Leaf) -> str:
    """The text with which a listener showing `leaf` is refused."""
    address = await serve_tls(nursery, leaf)
    with pytest.raises(UnreachableError) as caught:
        await CatalogDialler(address, OWN).dial()
    assert str(caught.value).startswith(f"{address}: ")
    return str(caught.value)


async def test_a_catalog_server_is_reached_whatever_its_address(nursery: trio.Nursery):
    """The certificate's SPIFFE ID counts, not the address dialled."""
    dialler = CatalogDialler(await serve_tls(nursery, AUTHORITY.leaf(server_uri())), OWN)
    stream = await dialler.dial()
    assert await stream.receive_some() == b"word"
    await stream.aclose()
    assert dialler.host == "server.dc1.test.linkspan"
    assert dialler.generation == OWN.version
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (AUTHORITY.leaf(service_uri("web")), "is no catalog server of datacenter dc1"),
        (AUTHORITY.leaf(server_uri().replace("dc1", "dc2")), "is no catalog server of datacenter dc1"),
        (AUTHORITY.leaf(server_uri("other.mesh")), "another trust domain"),
        (AUTHORITY.leaf(), "0 URI SANs"),
        (STRANGER.leaf(server_uri()), "unknown CA"),
        (AUTHORITY.leaf(server_uri(), begin_s=-7200, life_s=-3600), "has expired"),
    ],
)
async def test_whoever_is_no_catalog_is_refused_and_named(nursery: trio.Nursery, leaf: Leaf, words: str):
    """A valid certificate of a service, another datacenter, domain or authority does not pass for the catalog."""
    assert words in await refusal(nursery, leaf)
    nursery.cancel_scope.cancel()


async def test_revoked_servers_are_refused(nursery: trio.Nursery):
    """A revoked catalog certificate is refused though its chain is good."""
    leaf = AUTHORITY.leaf(server_uri())
    address = await serve_tls(nursery, leaf)
    wary = LiveIdentity(OWN.leaf, AUTHORITY.roots(revoked_serials=(leaf.serial,)))
    with pytest.raises(UnreachableError, match="revoked"):
        await CatalogDialler(address, wary, time.time).dial()
    nursery.cancel_scope.cancel()


async def test_what_is_not_there_is_named(tmp_path: Path):
    """Nobody listening: one line with the address and the reason."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    address = HostPort("127.0.0.1", listener.socket.getsockname()[1])
    await listener.aclose()
    for dialler in (CatalogDialler(address, OWN), PlainDialler(address)):
        with pytest.raises(UnreachableError, match=str(address)):
            await dialler.dial()
    with pytest.raises(UnreachableError, match=r"agent\.sock: No such file"):
        await UnixDialler(str(tmp_path / "agent.sock")).dial()


async def test_a_port_that_speaks_no_tls_is_named(nursery: trio.Nursery):
    """Plain HTTP on the mesh port is said to be that."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listeners = await nursery.start(trio.serve_tcp, handle, 0)
    address = HostPort("127.0.0.1", listeners[0].socket.getsockname()[1])
    with pytest.raises(UnreachableError, match="does not speak TLS"):
        await CatalogDialler(address, OWN).dial()
    nursery.cancel_scope.cancel()


async def test_plain_and_unix_connections(nursery: trio.Nursery, tmp_path: Path):
    """Both carry bytes."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"word")

    listeners = await nursery.start(trio.serve_tcp, handle, 0)
    plain = PlainDialler(HostPort("127.0.0.1", listeners[0].socket.getsockname()[1]))
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    path = tmp_path / "agent.sock"
    await sock.bind(str(path))
    sock.listen()
    nursery.start_soon(trio.serve_listeners, handle, [trio.SocketListener(sock)])
    for dialler in (plain, UnixDialler(str(path))):
        async with await dialler.dial() as stream:
            assert await stream.receive_some() == b"word"
    nursery.cancel_scope.cancel()

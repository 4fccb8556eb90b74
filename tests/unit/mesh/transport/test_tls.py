"""TLS handshakes over real sockets: done, refused, too slow, cancelled; and the raw relay with TLS on one side."""

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from mesh.identity.context import client_context, server_context
from mesh.transport.relay import Relay, RelayEnd, shut_write
from mesh.transport.ring import Ring
from mesh.transport.tls import HandshakeError, SilentPeerError, handshake
from tests.fakes.authority import Authority, service_uri

_AUTHORITY = Authority()
_ROOTS = _AUTHORITY.roots()
_SERVER = server_context(_AUTHORITY.leaf(service_uri("web")), _ROOTS, ("one", "two"))
_CLIENT = client_context(_AUTHORITY.leaf(service_uri("api")), _ROOTS, ("two",))


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection, non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    near.settimeout(0)
    far.settimeout(0)
    return near, far


async def tls_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Client and server after their handshake."""
    near, far = tcp_pair()
    found: dict[str, ssl.SSLSocket] = {}

    async def shake(name: str, sock: socket.socket, context: ssl.SSLContext, server_name: str | None) -> None:
        found[name] = await handshake(sock, context, server_name=server_name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake, "near", near, _CLIENT, "web.example")
        nursery.start_soon(shake, "far", far, _SERVER, None)
    return found["near"], found["far"]


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def read_some(sock: ssl.SSLSocket) -> bytes:
    """What comes next; empty at the end."""
    while True:
        try:
            return sock.recv(65536)
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(sock)
        except ssl.SSLZeroReturnError:
            return b""


async def test_both_ends_are_verified_and_agree_on_a_protocol() -> None:
    """TLS 1.3, both certificates seen, ALPN chosen, still non-blocking."""
    near, far = await tls_pair()
    for sock, peer in ((near, "web"), (far, "api")):
        certificate = sock.getpeercert()
        assert certificate is not None
        assert certificate["subjectAltName"] == (("URI", service_uri(peer)),)
        assert (sock.version(), sock.selected_alpn_protocol()) == ("TLSv1.3", "two")
        assert not sock.getblocking()
        sock.close()


async def test_a_peer_of_another_authority_is_refused_and_both_sockets_are_closed() -> None:
    """The text tells what was wrong; nothing is left open, whichever side refused."""
    stranger = Authority()
    context = client_context(stranger.leaf(service_uri("api")), _ROOTS)
    before = open_descriptors()
    near, far = tcp_pair()
    texts: list[str] = []

    async def serve() -> None:
        with pytest.raises(HandshakeError) as caught:
            await handshake(far, _SERVER)
        texts.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        tls = await handshake(near, context, server_name="web.example")
    # In TLS 1.3 the client learns of its refusal by what comes next.
    with pytest.raises(ssl.SSLError):
        await read_some(tls)
    tls.close()
    assert texts[0].startswith("the peer's certificate was refused: ")
    assert open_descriptors() == before


async def test_a_client_without_a_certificate_is_refused() -> None:
    """A server of the mesh asks for one, always."""
    near, far = tcp_pair()

    async def dial() -> None:
        tls = await handshake(near, client_context(None, _ROOTS), server_name="web.example")
        tls.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        with pytest.raises(HandshakeError, match="failed"):
            await handshake(far, _SERVER)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" * 10])
async def test_bytes_that_are_no_handshake_are_refused(sent: bytes) -> None:
    """Plain HTTP, zeros or a record without end and a hang-up: an error, and the socket is closed."""
    before = open_descriptors()
    near, far = tcp_pair()
    near.send(sent)
    near.close()
    with pytest.raises(HandshakeError, match="handshake"):
        await handshake(far, _SERVER)
    assert open_descriptors() == before


async def test_a_peer_that_hung_up_before_is_the_handshakes_error() -> None:
    """A connection that was reset before it was wrapped."""
    before = open_descriptors()
    near, far = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    with pytest.raises(HandshakeError):
        await handshake(far, _SERVER)
    assert open_descriptors() == before


async def test_a_silent_peer_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that connects and says nothing holds a descriptor for no longer than the time-out."""
    before = open_descriptors()
    near, far = tcp_pair()
    with pytest.raises(HandshakeError, match="longer than 5 s"):
        await handshake(far, _SERVER, timeout_s=5)
    assert trio.current_time() == pytest.approx(5)
    near.close()
    assert open_descriptors() == before


async def test_a_cancelled_handshake_closes_its_socket(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled from outside, the socket is closed all the same."""
    before = open_descriptors()
    near, far = tcp_pair()
    with trio.move_on_after(1) as scope:
        await handshake(far, _SERVER)
    assert scope.cancelled_caught
    near.close()
    assert open_descriptors() == before


class Scene:
    """A relay whose right side is TLS: `near` is a plain client, `far` the TLS peer."""

    def __init__(self, ring: Ring, tls: ssl.SSLSocket, far: ssl.SSLSocket) -> None:
        near, left = tcp_pair()
        self.near, self.far = trio.socket.from_stdlib_socket(near), far
        self.ends: list[RelayEnd] = []
        self.ended = trio.Event()
        self.relay = Relay(ring, left, tls, idle_timeout_s=0, on_end=self._end)

    def _end(self, end: RelayEnd) -> None:
        self.ends.append(end)
        self.ended.set()

    async def answer(self) -> bytes:
        """Everything that comes back to the client."""
        data = bytearray()
        while chunk := await self.near.recv(65536):
            data += chunk
        return bytes(data)


async def send_all(sock: ssl.SSLSocket, data: bytes) -> None:
    """Send everything."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(sock)


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    """A scene on a running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    near, far = await tls_pair()
    return Scene(ring, near, far)


async def test_records_that_came_together_are_all_relayed(scene: Scene) -> None:
    """Nothing stays behind in the TLS layer, though the descriptor is not readable for it."""
    payload = bytes(range(256)) * 2048
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, scene.far, payload)
        data = bytearray()
        with trio.fail_after(2):
            while len(data) < len(payload):
                data += await scene.near.recv(65536)
    assert bytes(data) == payload
    scene.near.close()
    scene.far.close()
    await scene.ended.wait()


async def test_an_answer_after_the_clients_half_close_arrives_whole(scene: Scene) -> None:
    """The client ends its side first; the answer and the peer's own end come through TLS after that, cleanly."""
    payload = b"x" * 300_000
    await scene.near.send(b"question")
    scene.near.shutdown(socket.SHUT_WR)
    assert await read_some(scene.far) == b"question"
    assert await read_some(scene.far) == b""
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await send_all(scene.far, payload)
            shut_write(scene.far)

        with trio.fail_after(2):
            assert await scene.answer() == payload
    await scene.ended.wait()
    assert scene.ends == [RelayEnd("closed", 8, len(payload))]
    scene.far.close()
    scene.near.close()


async def test_shutting_the_own_side_loses_nothing_that_has_come() -> None:
    """What the peer sent before it saw our end is still read after it."""
    near, far = await tls_pair()
    far.send(b"answer")
    await trio.lowlevel.wait_readable(near)
    shut_write(near)
    try:
        assert await read_some(near) == b"answer"
    finally:
        near.close()
        far.close()


@pytest.mark.parametrize("linger", [b"", b"\1\0\0\0\0\0\0\0"], ids=["closed", "reset"])
async def test_a_peer_that_leaves_without_a_byte_is_told_apart(linger: bytes) -> None:
    """A TCP health check is no broken handshake; the socket is closed all the same."""
    near, far = tcp_pair()

    async def leave() -> None:
        await trio.testing.wait_all_tasks_blocked()
        if linger:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        near.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        with pytest.raises(SilentPeerError):
            await handshake(far, _SERVER)
    assert far.fileno() == -1


async def test_one_byte_is_not_silence() -> None:
    """Who has begun to speak and leaves has broken a handshake."""
    near, far = tcp_pair()
    near.send(b"\x16")
    near.close()
    with pytest.raises(HandshakeError, match="hung up") as caught:
        await handshake(far, _SERVER)
    assert not isinstance(caught.value, SilentPeerError)


async def test_both_waits_share_one_time(autojump_clock: trio.testing.MockClock) -> None:
    """A byte late in the time does not begin it anew."""
    near, far = tcp_pair()

    async def dawdle() -> None:
        await trio.sleep(4)
        near.send(b"\x16")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dawdle)
        begun_s = trio.current_time()
        with pytest.raises(HandshakeError, match="longer than 5 s"):
            await handshake(far, _SERVER, timeout_s=5)
        assert trio.current_time() - begun_s == pytest.approx(5)
    near.close()


async def test_the_own_end_is_said_cleanly_and_reads_nothing() -> None:
    """The peer gets a close_notify though something of it waits to be read, and what waits is still all there."""
    near, far = await tls_pair()
    far.suppress_ragged_eofs = False
    far.send(b"answer")
    await trio.lowlevel.wait_readable(near)
    shut_write(near)
    try:
        # A bare FIN would raise here: ragged ends are not suppressed.
        await trio.lowlevel.wait_readable(far)
        assert far.recv(100) == b""
        far.send(b" and more")
        got = b""
        while len(got) < len(b"answer and more"):
            got += await read_some(near)
        assert got == b"answer and more"
    finally:
        near.close()
        far.close()

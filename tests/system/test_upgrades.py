"""WebSocket upgrades and plain streams through real proxies: bytes as they are, both ways, to the last one, and only where policy says yes."""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mesh.identity.context import client_context, server_context
from mesh.model.intention import Action, HttpMatch, Permission
from tests.lab.mesh_pair import CALLEE, CALLER, STRANGER, Hop, Mesh, dial_mesh, mesh, read_answer, status_of
from tests.lab.raw_server import RawServer, read_exactly, read_head, read_to_end

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
GET = b"GET /ws HTTP/1.1\r\nHost: api\r\n\r\n"
MANY_BYTES = 8 << 20
BULK = bytes(range(256)) * (MANY_BYTES // 256)
BULK_SUM = hashlib.sha256(BULK).digest()


def echo(sock: socket.socket) -> None:
    """Switch, then send back whatever comes, until the end of it."""
    _, rest = read_head(sock)
    sock.sendall(SWITCH + rest)
    while data := sock.recv(65536):
        sock.sendall(data)


def count(sock: socket.socket) -> None:
    """Switch with a greeting in the same write, take everything to its end, then send its digest and much more."""
    _, rest = read_head(sock)
    sock.sendall(SWITCH + b"hello")
    digest = hashlib.sha256(rest + read_to_end(sock)).digest()
    sock.sendall(digest + BULK)


def refuse(sock: socket.socket) -> None:
    """Answer an upgrade as a plain request, and the next request on the same connection."""
    for last in (b"", b"connection: close\r\n"):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n" + last + b"\r\nno")


@dataclass(frozen=True)
class Scene:
    """Both proxies, and an application whose script a test chooses."""

    made: Mesh
    near: Hop
    far: Hop
    app: RawServer
    script: list[Callable[[socket.socket], None]]

    def dial(self) -> socket.socket:
        """A connection of the application beside the caller's proxy."""
        return socket.create_connection(("127.0.0.1", self.near.upstreams[CALLEE]), timeout=8)

    def dial_far(self, service: str = CALLER) -> socket.socket:
        """A connection of a peer that is not Linkspan."""
        sock = dial_mesh(self.far.port, self.made.leaf(service), self.made.roots)
        sock.settimeout(8)
        return sock


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    script: list[Callable[[socket.socket], None]] = [echo]

    def run(sock: socket.socket) -> None:
        script[0](sock)

    allowed = Permission(Action.ALLOW, HttpMatch(path_prefix="/ws", methods=("GET",)))
    with RawServer(run) as app, mesh(tmp_path_factory.mktemp("upgrades")) as made:
        far = made.callee(app.port, permissions=(allowed,))
        near = made.caller({CALLEE: far.port})
        yield Scene(made, near, far, app, script)
        assert app.errors == []


@pytest.fixture(params=["both hops", "a peer without trunks"])
def dial(scene: Scene, request: pytest.FixtureRequest) -> Callable[[], socket.socket]:
    """The way to the application: through both proxies, or straight to the callee's over HTTP/1 on mTLS."""
    return scene.dial if request.param == "both hops" else scene.dial_far


def open_socket(
    dial: Callable[[], socket.socket], behind: bytes = b"", path: bytes = b"/ws"
) -> tuple[socket.socket, bytes]:
    """An upgraded connection, with what came behind the answer's head; `behind` is sent in one write with the request."""
    sock = dial()
    sock.sendall(UPGRADE % path + behind)
    head, rest = read_head(sock)
    lines = head.lower().split(b"\r\n")
    assert lines[0].startswith(b"http/1.1 101 "), head
    assert b"upgrade: websocket" in lines
    assert b"connection: upgrade" in lines
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in lines
    return sock, rest


def test_frames_pass_both_ways(scene: Scene, dial: Callable[[], socket.socket]) -> None:
    """Small pieces come back as they are, also those sent before the answer."""
    scene.script[0] = echo
    sock, rest = open_socket(dial, b"early")
    with sock:
        assert read_exactly(sock, 5, rest) == b"early"
        for number in range(50):
            piece = b"%d" % number * (number + 1)
            sock.sendall(piece)
            assert read_exactly(sock, len(piece)) == piece


def test_big_frames_pass_both_ways_at_once(scene: Scene, dial: Callable[[], socket.socket]) -> None:
    """8 MB there and back, written and read at the same time, are the same 8 MB."""
    scene.script[0] = echo
    sock, rest = open_socket(dial)
    assert rest == b""
    with sock:
        writer = threading.Thread(target=sock.sendall, args=(BULK,), daemon=True)
        if dial == scene.dial_far:
            # One TLS object is not for two threads: what the proxies and the kernel hold must be enough for halves.
            for at in range(0, MANY_BYTES, 65536):
                sock.sendall(BULK[at : at + 65536])
                assert read_exactly(sock, 65536) == BULK[at : at + 65536]
            return
        writer.start()
        assert hashlib.sha256(read_exactly(sock, MANY_BYTES)).digest() == BULK_SUM
        writer.join(10)


def test_a_half_close_lets_the_answer_finish(scene: Scene) -> None:
    """The client ends its side; the application sees that end after every byte, and all of what it says then arrives."""
    scene.script[0] = count
    sock, rest = open_socket(scene.dial)
    with sock:
        assert read_exactly(sock, 5, rest) == b"hello"
        sock.sendall(BULK)
        sock.shutdown(socket.SHUT_WR)
        answer = read_to_end(sock)
    assert answer[:32] == BULK_SUM
    assert hashlib.sha256(answer[32:]).digest() == BULK_SUM


def test_policy_is_asked_before_the_application(scene: Scene) -> None:
    """Where no permission covers the path an upgrade gets 403, and no connection reaches the application."""
    before = scene.app.connections
    for dial in (scene.dial, scene.dial_far, lambda: scene.dial_far(STRANGER)):
        with dial() as sock:
            sock.sendall(UPGRADE % (b"/admin" if dial in {scene.dial, scene.dial_far} else b"/ws") + b"early")
            assert status_of(read_answer(sock)) == 403
    assert scene.app.connections == before


def test_an_upgrade_that_is_refused_is_an_answer(scene: Scene) -> None:
    """No 101, no tunnel: the client reads an answer, and asks again on the same connection."""
    scene.script[0] = refuse
    with scene.dial() as sock:
        sock.sendall(UPGRADE % b"/ws")
        assert status_of(read_answer(sock)) == 426
        sock.sendall(GET)
        assert status_of(read_answer(sock)) == 426


def test_many_tunnels_share_a_trunk(scene: Scene) -> None:
    """Forty upgraded connections at once, each with its own bytes."""
    scene.script[0] = echo
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(open_socket(scene.dial)[0]) for _ in range(40)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%04d" % number * 5000)
        for number, sock in enumerate(socks):
            assert read_exactly(sock, 20_000) == b"%04d" % number * 5000


# -- streams of peers that are not Linkspan: one TLS connection each, no ALPN --


def reverse(sock: socket.socket) -> None:
    """Take everything to its end, then send it back with its digest in front."""
    data = read_to_end(sock)
    sock.sendall(hashlib.sha256(data).digest() + data)


def plain_tls(port: int, made: Mesh, service: str) -> socket.socket:
    """A TLS connection without ALPN."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=8)
    return client_context(made.leaf(service), made.roots, ()).wrap_socket(sock, server_hostname=CALLEE)


def test_a_plain_tls_peer_reaches_the_application(tmp_path_factory: pytest.TempPathFactory) -> None:
    """8 MB each way in pieces; a stranger gets an end and no byte of the application, which is not even dialled."""

    def mirror(sock: socket.socket) -> None:
        while data := sock.recv(65536):
            sock.sendall(data)

    with RawServer(mirror) as app, mesh(tmp_path_factory.mktemp("plain")) as made:
        hop = made.callee(app.port, protocol="tcp")
        with plain_tls(hop.port, made, CALLER) as sock:
            for at in range(0, MANY_BYTES, 65536):
                sock.sendall(BULK[at : at + 65536])
                assert read_exactly(sock, 65536) == BULK[at : at + 65536]
        assert app.connections == 1
        with plain_tls(hop.port, made, STRANGER) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(b"smuggled")
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""
        assert app.connections == 1


@pytest.mark.parametrize("size", [0, 1, 100_000, MANY_BYTES])
def test_a_plain_tls_server_is_called_and_half_closed(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """The application's end reaches a server that knows no trunks; all that it says after that comes back."""
    with mesh(tmp_path_factory.mktemp("plain")) as made:
        context = server_context(made.leaf(CALLEE), made.roots, ())
        with RawServer(reverse, context) as server:
            hop = made.caller({CALLEE: server.port}, protocol="tcp")
            with socket.create_connection(("127.0.0.1", hop.upstreams[CALLEE]), timeout=8) as sock:
                sock.sendall(BULK[:size])
                sock.shutdown(socket.SHUT_WR)
                answer = read_to_end(sock)
            assert answer[:32] == hashlib.sha256(BULK[:size]).digest()
            assert answer[32:] == BULK[:size]
            assert server.errors == []

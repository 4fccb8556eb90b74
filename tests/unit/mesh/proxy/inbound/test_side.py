"""The mesh listener: nobody unidentified, nobody over the limit, nobody once revoked, and an orderly end."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest
import trio
from msgspec.structs import replace

from mesh.identity.context import client_context
from mesh.proxy.link import Link
from mesh.proxy.settings import Limits, Timeouts
from mesh.transport.tls import handshake
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_frames import ALPN, GOAWAY, Code
from tests.fakes.authority import Authority, service_uri
from tests.fakes.mesh_world import (
    AUTHORITY,
    App,
    Keeper,
    Owner,
    callee,
    connect,
    connect_tls,
    dead_port,
    hear,
    identity,
    ok,
    open_inbound,
    say,
)

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"


@pytest.fixture
def stuck() -> Iterator[int]:
    """The port of an application that accepts nobody: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def socket_to(port: int) -> socket.socket:
    """A connection that has not begun its handshake."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    return sock


async def wait_for(count: object) -> None:
    """Let the others run until `count()` holds."""
    with trio.fail_after(2):
        while not count():  # type: ignore[operator]
            await trio.lowlevel.checkpoint()


async def test_who_shows_no_acceptable_certificate_gets_nothing() -> None:
    """Plain text and a certificate of another authority end in the handshake, counted; no connection stands."""
    async with open_inbound(1) as (inbound, side):
        refused = side.metrics.refused.child("inbound", "handshake")
        async with await connect(inbound.port) as stream:
            await stream.send_all(GET)
            await wait_for(lambda: refused.value == 1)
        foreign = Authority()
        leaf = foreign.leaf(service_uri("web"))
        context = client_context(leaf, AUTHORITY.roots(), (ALPN,))
        stream = trio.SSLStream(await connect(inbound.port), context, server_hostname="api")
        # In TLS 1.3 the refusal comes after the client's own handshake is done, with its first reading.
        with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError):
            await stream.do_handshake()
        await wait_for(lambda: refused.value == 2)
        assert not inbound.links
        assert not inbound.clients
        await stream.transport_stream.aclose()


async def test_over_the_limit_nobody_is_let_in() -> None:
    """The connection is closed before its handshake, and counted."""
    async with open_inbound(1, limits=Limits(connections=1)) as (inbound, side):
        first = await connect_tls(inbound.port, "web")
        await wait_for(lambda: inbound.clients)
        async with await connect(inbound.port) as second:
            assert await second.receive_some() == b""
        assert side.metrics.refused.child("inbound", "limit").value == 1
        first.close()


@pytest.mark.parametrize("alpn", [ALPN, "http/1.1"])
async def test_a_revoked_certificate_is_cut_at_once(alpn: str) -> None:
    """When the snapshot revokes a serial, connections that were made with it are closed."""
    async with open_inbound(1) as (inbound, side):
        tls = await connect_tls(inbound.port, "web", alpn)
        await wait_for(lambda: inbound.links or inbound.clients)
        serial = identity("web").leaf.serial
        inbound.on_snapshot(replace(callee(), roots=AUTHORITY.roots(index=2, revoked_serials=(serial,))))
        await wait_for(lambda: not (inbound.links or inbound.clients))
        assert side.metrics.revoked.child("web", "api").value == 1
        tls.close()


@pytest.mark.parametrize("alpn", [ALPN, "http/1.1"])
async def test_a_root_that_is_gone_takes_its_connections_along(alpn: str) -> None:
    """A root that joins the bundle changes nothing for who stands on another; when that one leaves, it is cut at once, and counted."""
    added = Authority(common_name="added").roots()
    async with open_inbound(1) as (inbound, side):
        tls = await connect_tls(inbound.port, "web", alpn)
        await wait_for(lambda: inbound.links or inbound.clients)
        both = replace(added, index=2, roots=(*added.roots, *AUTHORITY.roots().roots))
        for roots in (both, replace(added, index=3)):
            assert len(inbound.links) + len(inbound.clients) == 1
            inbound._parts.identity.replace(roots=roots)
            inbound.on_snapshot(replace(callee(), roots=roots))
        await wait_for(lambda: not (inbound.links or inbound.clients))
        assert side.metrics.revoked.child("web", "api").value == 1
        tls.close()


async def test_draining_closes_what_is_idle_and_finishes_what_stands(nursery: trio.Nursery) -> None:
    """The listener goes first; a request under way is answered with `connection: close`."""
    app = App(ok)
    await nursery.start(app.serve)
    async with open_inbound(app.port) as (inbound, _):
        idle, busy = await connect_tls(inbound.port, "web"), await connect_tls(inbound.port, "web")
        await wait_for(lambda: len(inbound.clients) == 2)
        busy.send(b"POST /a HTTP/1.1\r\nhost: api\r\ncontent-length: 2\r\n\r\n")
        await wait_for(lambda: inbound.live)
        inbound.drain()
        assert await hear(idle) == b""
        assert not inbound.is_idle
        answer = await say(busy, b"hi")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()
        await wait_for(lambda: inbound.is_idle)
        with pytest.raises(ConnectionRefusedError):
            await connect(inbound.port)
        idle.close()
        busy.close()


async def test_an_unreachable_application_is_503() -> None:
    """The caller hears that the application could not be reached."""
    async with open_inbound(dead_port()) as (inbound, _):
        tls = await connect_tls(inbound.port, "web")
        assert (await say(tls, GET)).startswith(b"HTTP/1.1 503 ")
        tls.close()


async def test_a_plain_stream_is_judged_before_the_application_is_dialled(nursery: trio.Nursery) -> None:
    """A peer without trunks: its TLS connection is one stream, closed when denied."""
    app = App(lambda request: b"echo " + request)
    await nursery.start(app.serve)
    async with open_inbound(app.port, callee("tcp")) as (inbound, side):
        context = identity("stranger").client_context(())
        stream = trio.SSLStream(await connect(inbound.port), context, server_hostname="api")
        await stream.do_handshake()
        with trio.fail_after(2):
            with contextlib.suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        await stream.transport_stream.aclose()
        assert app.connections == 0
        assert side.metrics.denied.child("stranger", "api").value == 1


async def test_a_certificate_gets_its_trunks_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is told REFUSED by GOAWAY, its streams that they were not begun; another peer comes in; one line for all."""
    async with open_inbound(1, limits=Limits(trunks_a_certificate=2)) as (inbound, side):
        keepers = []
        for _ in range(5):
            keeper = Keeper()
            tls = await connect_tls(inbound.port, "web", ALPN)
            link = Link(inbound.ring, tls, Trunk(is_dialler=True), keeper)
            keepers.append((link, keeper))
            await wait_for(lambda: side.metrics.connections.child("inbound").value == min(2, len(keepers)))
        link, keeper = keepers[-1]
        stream = link.trunk.open_tcp()
        stream.owner = owner = Owner()
        link.touch()
        await wait_for(lambda: keeper.leaving and owner.heard)
        assert owner.heard == [("reset", Code.REFUSED)]
        other = await connect_tls(inbound.port, "stranger", ALPN)
        await wait_for(lambda: len(inbound.links) == 3)
        refused = side.metrics.refused.child("inbound", "peer_trunks")
        assert refused.value == 3
        lines = [record.getMessage() for record in caplog.records if "turned away" in record.getMessage()]
        assert len(lines) == 1
        assert "svc/web: its certificate" in lines[0]
        keepers[0][0].close("done")
        await wait_for(lambda: len(inbound.links) == 2)
        again = await connect_tls(inbound.port, "web", ALPN)
        await wait_for(lambda: len(inbound.links) == 3)
        for sock in (other, again):
            sock.close()
        for link, _ in keepers:
            link.close("end")


async def test_who_is_turned_away_is_let_go(autojump_clock: trio.abc.Clock) -> None:
    """It has a second to read why, whatever it does; then nothing of it is left."""
    async with open_inbound(1, limits=Limits(trunks_a_certificate=0)) as (inbound, _):
        tls = await connect_tls(inbound.port, "web", ALPN)
        while not inbound._turned_away:
            await trio.lowlevel.checkpoint()
        await trio.sleep(1.1)
        assert not inbound._turned_away
        tls.close()


async def test_streams_of_peers_without_trunks_count_from_the_start(stuck: int) -> None:
    """While the application is dialled the connection counts already: a third one of the same certificate is closed."""
    async with open_inbound(stuck, callee("tcp"), limits=Limits(foreign_a_certificate=2)) as (inbound, side):
        context = identity("web").client_context(())
        socks = [await handshake(socket_to(inbound.port), context, server_name="api", timeout_s=5) for _ in range(3)]
        assert await hear(socks[2]) == b""
        assert side.metrics.refused.child("inbound", "peer_connections").value == 1
        for sock in socks:
            sock.close()


async def test_a_peer_that_vanishes_is_noticed() -> None:
    """The kernel asks idle peers for a sign of life: a lost host's trunks do not stay for ever."""
    async with open_inbound(1) as (inbound, _):
        tls = await connect_tls(inbound.port, "web", ALPN)
        await wait_for(lambda: inbound.links)
        [link] = inbound.links
        assert link._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        tls.close()


@pytest.mark.parametrize("begin", [b"\0\0\0\1\1\0\0\x40abc", b"\0\0\0\1\1\2\0\3\1\0\0"], ids=["frame", "head"])
async def test_a_frame_that_does_not_end_is_timed_out(
    begin: bytes, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a frame, or a head of which more is to come, holds memory for `frame_s` and no longer; the peer is told why."""
    async with open_inbound(1, timeouts=Timeouts(frame_s=30)) as (inbound, side):
        tls, quiet = [await connect_tls(inbound.port, "web", ALPN) for _ in range(2)]
        tls.send(begin)
        while not any(link.trunk.begun for link in inbound.links):
            await trio.lowlevel.checkpoint()
        await trio.sleep(29)
        assert len(inbound.links) == 2
        await trio.sleep(2)
        assert len(inbound.links) == 1
        goodbye = await hear(tls)
        assert goodbye[4] == GOAWAY
        assert b"not ended within 30 s" in goodbye
        assert side.metrics.trunks_cut.child("inbound", "frame").value == 1
        assert "cut a trunk of spiffe://test.linkspan/ns/default/dc/dc1/svc/web: a frame was begun" in caplog.text
        tls.close()
        quiet.close()


async def test_a_health_check_is_counted_and_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that goes without a byte is no refusal: no warning, a counter of its own."""
    async with open_inbound(1) as (inbound, side):
        for _ in range(3):
            socket_to(inbound.port).close()
        silent = side.metrics.silent.child("inbound")
        await wait_for(lambda: silent.value == 3)
        assert side.metrics.refused.child("inbound", "handshake").value == 0
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []

"""The mesh listener: nobody unidentified, nobody over the limit, nobody once revoked, and an orderly end."""

import contextlib
import ssl

import pytest
import trio
from msgspec.structs import replace

from mesh.identity.context import client_context
from mesh.proxy.settings import Limits
from mesh.wire.trunk_frames import ALPN
from tests.fakes.authority import Authority, service_uri
from tests.fakes.mesh_world import (
    AUTHORITY,
    App,
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

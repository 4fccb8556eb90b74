"""What a peer's connection may open: judged stream by stream, refusals that keep the trunk, and goodbyes."""

import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.inbound.side import InboundSide
from mesh.proxy.link import Link
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import Stream
from mesh.wire.trunk_frames import ALPN, Code, encode_fields, encode_request
from tests.fakes.mesh_world import App, Keeper, Owner, callee, connect_tls, ok, open_inbound

BLOCK = encode_fields([(b"host", b"api")])


async def trunk_to(inbound: InboundSide, service: str) -> tuple[Link, Keeper]:
    """A trunk of a mesh service."""
    tls = await connect_tls(inbound.port, service, ALPN)
    keeper = Keeper()
    return Link(inbound.ring, tls, Trunk(is_dialler=True), keeper), keeper


def ask(link: Link, target: bytes = b"/a", block: bytes = BLOCK) -> tuple[Stream, Owner]:
    """Open a request."""
    stream = link.trunk.open_http(encode_request(b"GET", target, block), end=True)
    stream.owner = owner = Owner()
    link.touch()
    return stream, owner


async def told(owner: Owner) -> tuple[object, ...]:
    """The first thing that the owner heard."""
    while not owner.heard:
        await trio.lowlevel.checkpoint()
    return owner.heard[0]


async def test_a_denied_peer_keeps_its_trunk(nursery: trio.Nursery) -> None:
    """Each of its requests is answered 403, and the trunk stands."""
    app = App(ok)
    await nursery.start(app.serve)
    async with open_inbound(app.port) as (inbound, side):
        link, _ = await trunk_to(inbound, "stranger")
        for _ in range(2):
            _, owner = ask(link)
            assert (await told(owner))[1] == 403
        assert not link.is_closed
        assert app.connections == 0
        assert side.metrics.denied.child("stranger", "api").value == 2
        link.close("test")


async def test_a_malformed_head_is_answered_and_recorded(nursery: trio.Nursery) -> None:
    """A bad field block or target is 400 of that stream, never of the trunk; the next request is served."""
    app = App(ok)
    await nursery.start(app.serve)
    async with open_inbound(app.port) as (inbound, side):
        link, _ = await trunk_to(inbound, "web")
        for target, block in ((b"/a", encode_fields([(b"bad name", b"x")])), (b"/%zz", BLOCK), (b"/a\r\nx", BLOCK)):
            _, owner = ask(link, target, block)
            assert (await told(owner))[1] == 400
        assert side.metrics.malformed.child("destination").value == 3
        assert all(b'"decision":"malformed"' in line for line in side.log.lines)
        _, owner = ask(link)
        assert (await told(owner))[1] == 200
        assert len(app.requests) == 1
        link.close("test")


async def test_a_denied_stream_is_reset_and_recorded() -> None:
    """A TCP stream that policy forbids gets DENIED before the application is dialled."""
    async with open_inbound(1, callee("tcp")) as (inbound, side):
        link, _ = await trunk_to(inbound, "stranger")
        stream = link.trunk.open_tcp()
        stream.owner = owner = Owner()
        link.touch()
        assert await told(owner) == ("reset", Code.DENIED)
        assert inbound.pipes == {}
        assert b'"decision":"deny"' in side.log.lines[0]
        link.close("test")


async def test_a_draining_side_refuses_new_streams_and_closes_idle_trunks() -> None:
    """Who asks after the goodbye may ask elsewhere: REFUSED, and the trunk goes when nothing is on it."""
    async with open_inbound(1) as (inbound, _):
        link, keeper = await trunk_to(inbound, "web")
        while not inbound.links:
            await trio.lowlevel.checkpoint()
        inbound.drain()
        _, owner = ask(link)
        assert (await told(owner))[0] == "reset"
        while not keeper.closed:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert inbound.links == {}

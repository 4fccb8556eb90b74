"""The upstream listeners: what may be called, what is refused, and an orderly end."""

import pytest
import trio
from msgspec.structs import replace

from mesh.proxy.link import Link
from mesh.proxy.settings import Limits
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import encode_fields
from tests.fakes.mesh_world import caller, connect, instances, open_outbound

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"


def answer(link: Link, event: Opened) -> None:
    link.trunk.out.send_answer(event.stream, 200, encode_fields([(b"content-length", b"2")]), b"ok")
    link.touch()


async def test_without_a_chain_nothing_is_accepted() -> None:
    """A service that the snapshot does not hold is never called: the connection is reset and counted."""
    async with open_outbound(replace(caller(), chains={})) as (outbound, side):
        stream = await connect(outbound.ports["api"])
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert side.metrics.refused.child("app", "no chain").value == 1


async def test_a_chain_that_goes_answers_503_on_standing_connections() -> None:
    """A kept connection outlives its chain: its next request is answered, not routed by what was."""
    async with instances(answer) as (one,), open_outbound(caller(one.port)) as (outbound, side):
        async with await connect(outbound.ports["api"]) as stream:
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
            outbound.on_snapshot(replace(caller(one.port), chains={}))
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
        assert len(one.keeper.opened) == 1
        assert len(side.log.lines) == 2


async def test_over_the_limit_connections_are_reset() -> None:
    """What is over the bound is refused, never queued."""
    async with open_outbound(caller(), limits=Limits(connections=1)) as (outbound, side):
        first, second = await connect(outbound.ports["api"]), await connect(outbound.ports["api"])
        with pytest.raises(trio.BrokenResourceError):
            await second.receive_some()
        assert side.metrics.refused.child("app", "limit").value == 1
        assert len(outbound.clients) == 1
        await first.aclose()
        await second.aclose()


@pytest.mark.parametrize("target", [b"/%zz", b"/a%00b"])
async def test_a_path_that_cannot_be_judged_is_400(target: bytes) -> None:
    """It goes nowhere, and is recorded as malformed."""
    async with instances(answer) as (one,), open_outbound(caller(one.port)) as (outbound, side):
        async with await connect(outbound.ports["api"]) as stream:
            await stream.send_all(b"GET %b HTTP/1.1\r\nhost: api\r\n\r\n" % target)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
        assert one.keeper.opened == []
        assert side.metrics.malformed.child("source").value == 1


async def test_draining_closes_idle_connections_and_the_listener() -> None:
    """Who has nothing under way is closed; nobody new is let in."""
    async with open_outbound(caller()) as (outbound, _):
        async with await connect(outbound.ports["api"]) as stream:
            while not outbound.clients:
                await trio.lowlevel.checkpoint()
            outbound.drain()
            assert await stream.receive_some() == b""
        assert outbound.is_idle
        with pytest.raises(ConnectionRefusedError):
            await connect(outbound.ports["api"])

"""A TCP connection of the application: joined to an instance, tried elsewhere when it cannot be, told once at its end."""

import pytest
import trio

from mesh.proxy.link import Link
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code
from tests.fakes.mesh_world import Owner, caller, connect, dead_port, instances, open_outbound


class Echo(Owner):
    """Sends back what comes, and ends when the peer does."""

    def __init__(self, link: Link, event: Opened) -> None:
        super().__init__()
        self.link, self.stream = link, event.stream
        event.stream.owner = self

    def on_data(self, data: object, *, end: bool) -> None:
        self.link.trunk.out.send_data(self.stream, bytes(data), end=end)  # type: ignore[call-overload]
        self.link.touch()

    def on_end(self, block: bytes) -> None:
        self.link.trunk.out.send_end(self.stream)
        self.link.touch()


def echo(link: Link, event: Opened) -> None:
    Echo(link, event)


def deny(link: Link, event: Opened) -> None:
    link.reset(event.stream, Code.DENIED)


async def test_bytes_pass_and_the_end_is_one_line() -> None:
    """The stream is half-closed both ways, recorded once with its bytes, and nothing of it is left open."""
    async with instances(echo) as (one,), open_outbound(caller(one.port, protocol="tcp")) as (outbound, side):
        async with await connect(outbound.ports["api"]) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
            await stream.send_eof()
            assert await stream.receive_some() == b""
        while outbound.streams:
            await trio.lowlevel.checkpoint()
        assert len(side.log.lines) == 1
        assert b'"protocol":"tcp"' in side.log.lines[0]
        assert b'"bytes_received":5,"bytes_sent":5' in side.log.lines[0]
        assert side.metrics.stream_series("source", "web", "api").open.value == 0


async def test_an_unreachable_instance_is_replaced_by_another() -> None:
    """Nothing was sent yet, so the stream goes to the instance that can be reached."""
    async with (
        instances(echo) as (one,),
        open_outbound(caller(dead_port(), one.port, protocol="tcp")) as (outbound, _),
    ):
        for _ in range(6):
            async with await connect(outbound.ports["api"]) as stream:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b"x"


async def test_no_instance_is_a_reset_not_an_end_of_stream() -> None:
    """The application must not take a failure for a peer that had nothing to say."""
    async with open_outbound(caller(dead_port(), protocol="tcp", retries=0)) as (outbound, side):
        stream = await connect(outbound.ports["api"])
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert b"could not be reached" in side.log.lines[0]
        assert outbound.streams == {}


async def test_a_denied_stream_is_recorded_as_such() -> None:
    """The peer's policy said no: the application sees a reset, the line says deny."""
    async with instances(deny) as (one,), open_outbound(caller(one.port, protocol="tcp")) as (outbound, side):
        stream = await connect(outbound.ports["api"])
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert b'"decision":"deny"' in side.log.lines[0]


async def test_an_idle_stream_is_cut_by_the_sweep() -> None:
    """Past its idle time the stream ends, with that reason."""
    async with instances(echo) as (one,), open_outbound(caller(one.port, protocol="tcp")) as (outbound, side):
        stream = await connect(outbound.ports["api"])
        await stream.send_all(b"x")
        assert await stream.receive_some() == b"x"
        outbound.on_sweep(outbound.ring.time_s() + 3601)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert b"idle for too long" in side.log.lines[0]


async def test_a_retry_at_the_only_instance_comes_to_an_end(autojump_clock: trio.abc.Clock) -> None:
    """The one instance is dead and the route allows another attempt: the application is told, not left waiting."""
    async with open_outbound(caller(dead_port(), protocol="tcp", retries=1)) as (outbound, side):
        stream = await connect(outbound.ports["api"])
        with trio.move_on_after(60) as scope, pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert not scope.cancelled_caught
        assert outbound.streams == {}
        assert len(side.log.lines) == 1

"""A trunk on its socket: events to owners, errors of one stream kept to it, goodbyes, and silence after the end."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.link import Link
from mesh.transport.ring import Ring
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code
from tests.fakes.mesh_world import Keeper, Owner, link_pair, wire


@pytest.fixture
async def ring(nursery: trio.Nursery) -> Ring:
    """A running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return ring


def own(link: Link, event: Opened) -> None:
    """Give every stream a recording owner."""
    event.stream.owner = Owner()


async def test_bytes_and_ends_reach_the_streams_owner(ring: Ring) -> None:
    """What one side sends in a turn is heard by the owner at the other, in order."""
    near, _, _, keeper = link_pair(ring, own)
    stream = near.trunk.open_tcp()
    near.trunk.out.send_data(stream, b"abc")
    near.trunk.out.send_end(stream)
    near.touch()
    await wait_all_tasks_blocked()
    heard = keeper.owners[0].heard
    assert b"".join(event[1] for event in heard if event[0] == "data") == b"abc"
    assert heard[-1][0] == "end" or heard[-1][2]
    near.close("test")


async def test_an_owner_that_fails_loses_its_stream_only(ring: Ring) -> None:
    """Its stream is reset as INTERNAL; the other stream and the trunk go on."""

    class Broken(Owner):
        def on_data(self, data: object, *, end: bool) -> None:
            raise ValueError("a bug")

    def serve(link: Link, event: Opened) -> None:
        event.stream.owner = Owner() if len(keeper.opened) > 1 else Broken()

    near, far, _, keeper = link_pair(ring, serve)
    first, second = near.trunk.open_tcp(), near.trunk.open_tcp()
    first.owner, second.owner = owner, _ = Owner(), Owner()
    for stream in (first, second):
        near.trunk.out.send_data(stream, b"x")
    near.touch()
    await wait_all_tasks_blocked()
    assert owner.heard == [("reset", Code.INTERNAL)]
    assert not first.is_open
    assert second.is_open
    assert keeper.owners[1].heard == [("data", b"x", False)]
    assert not far.is_closed
    assert ring.failures == 1
    near.close("test")


async def test_nothing_is_told_after_the_close(ring: Ring) -> None:
    """A close resets every stream once, tells the keeper once, and later calls do nothing."""
    near, far, keeper, other = link_pair(ring, own)
    stream = near.trunk.open_tcp()
    stream.owner = owner = Owner()
    near.touch()
    await wait_all_tasks_blocked()
    near.close("enough")
    near.close("again")
    near.on_failure(ValueError("late"))
    near.touch()
    assert owner.heard == [("reset", Code.BROKEN)]
    assert keeper.closed == ["enough"]
    assert not stream.is_open
    assert near.trunk.is_full
    await wait_all_tasks_blocked()
    assert far.is_closed
    assert other.owners[0].heard == [("reset", Code.BROKEN)]
    assert len(other.closed) == 1


async def test_a_goodbye_lets_what_stands_finish(ring: Ring) -> None:
    """After GOAWAY the peer is full for new streams, those that stand go on, and the last one's end is told as idle."""
    near, far, keeper, other = link_pair(ring, own)
    stream = near.trunk.open_tcp()
    stream.owner = Owner()
    near.touch()
    await wait_all_tasks_blocked()
    far.leave(Code.DONE, "draining")
    await wait_all_tasks_blocked()
    assert keeper.leaving == 1
    assert near.trunk.is_full
    near.trunk.out.send_data(stream, b"still")
    near.touch()
    await wait_all_tasks_blocked()
    assert other.owners[0].heard[-1] == ("data", b"still", False)
    idle = other.idle
    near.reset(stream, Code.CANCELLED)
    await wait_all_tasks_blocked()
    assert other.idle > idle
    assert not near.is_closed
    near.close("test")


async def test_a_stream_that_was_let_go_hears_nothing(ring: Ring) -> None:
    """Who reset its stream is not called for what the peer had sent already."""
    near, far, _, other = link_pair(ring, own)
    stream = near.trunk.open_tcp()
    stream.owner = owner = Owner()
    near.touch()
    await wait_all_tasks_blocked()
    far.trunk.out.send_data(other.opened[0].stream, b"late")
    far.touch()
    near.reset(stream, Code.CANCELLED)
    await wait_all_tasks_blocked()
    assert owner.heard == []
    assert other.owners[0].heard == [("reset", Code.CANCELLED)]
    near.close("test")


async def test_a_peer_that_breaks_the_protocol_is_closed(ring: Ring) -> None:
    """Bytes that are no frames end the trunk, and its keeper hears why."""
    near, far, keeper, other = link_pair(ring, own)
    near._sock.sendall(b"\xff" * 64)
    await wait_all_tasks_blocked()
    assert far.is_closed
    assert "frame" in other.closed[0]
    assert keeper.closed


async def test_a_broken_socket_is_told_once(ring: Ring) -> None:
    """A peer that hangs up without a word resets the streams and closes the link."""
    left, right = wire()
    keeper = Keeper()
    link = Link(ring, left, Trunk(is_dialler=True), keeper)
    stream = link.trunk.open_tcp()
    stream.owner = owner = Owner()
    right.close()
    await wait_all_tasks_blocked()
    assert owner.heard == [("reset", Code.BROKEN)]
    assert len(keeper.closed) == 1


async def test_a_peer_that_ends_no_frame_is_stuck(ring: Ring) -> None:
    """It is so when the same frame was open for as long; frames that go on are not, nor is silence, nor a time without looks."""
    left, right = wire()
    link = Link(ring, left, Trunk(is_dialler=False), Keeper())
    ping = b"\0\0\0\0\x08\0\0\x08" + bytes(8)
    assert not any(link.is_stuck(now_s, 3.0) for now_s in range(9))
    for now_s in range(9, 18):
        right.sendall(ping[8:] + ping[:8] if link.trunk.begun else ping[:8])
        await wait_all_tasks_blocked()
        assert not link.is_stuck(now_s, 3.0)
    assert [link.is_stuck(now_s, 3.0) for now_s in (18.0, 60.0, 60.5, 61.0)] == [False, False, False, True]
    link.close("test")
    right.close()


async def test_a_failed_link_says_why(ring: Ring) -> None:
    """Its peer gets a GOAWAY, its streams are reset, its keeper hears the reason once."""
    near, far, keeper, other = link_pair(ring, own)
    stream = near.trunk.open_tcp()
    stream.owner = owner = Owner()
    near.touch()
    await wait_all_tasks_blocked()
    far.fail(Code.TIMEOUT, "too slow")
    far.fail(Code.TIMEOUT, "again")
    assert other.closed == ["too slow"]
    assert other.owners[0].heard == [("reset", Code.BROKEN)]
    await wait_all_tasks_blocked()
    assert keeper.leaving == 1
    assert owner.heard == [("reset", Code.BROKEN)]

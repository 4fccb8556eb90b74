"""The trunks to one endpoint: shared, replaced, bounded, and only to whom we mean."""

import ssl
from typing import Any

import trio

from mesh.decide.authorise import permit_local_app
from mesh.proxy.link import Link
from mesh.proxy.outbound.peer import Peer
from mesh.proxy.settings import Limits, Timeouts
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code
from tests.fakes.mesh_world import Instance, caller, dead_port, instances, open_outbound


class User:
    """Asks for a trunk and notes what it gets."""

    is_http = True

    def __init__(self) -> None:
        self.link: Link | None = None
        self.reason = ""
        self.told = trio.Event()

    def on_link(self, link: Link) -> None:
        self.link = link
        self.told.set()

    def on_foreign(self, pool: Any) -> None:
        raise AssertionError("not this")

    def on_foreign_stream(self, tls: ssl.SSLSocket) -> None:
        raise AssertionError("nor this")

    def on_unreachable(self, reason: str) -> None:
        self.reason = reason
        self.told.set()


def hang(link: Link, event: Opened) -> None:
    """Nothing."""


def peer_of(outbound: Any) -> Peer:
    """The peer behind the only instance."""
    router = outbound.directory.service("api").router
    aim = outbound.directory.aim(router.route_stream(permit_local_app(caller().local)).legs[0].target)
    candidate = aim.pool.pick(outbound.permit, 0.0, 0.0, outbound.ring.time_s())
    return outbound.directory.peer(aim, candidate)


async def get(peer: Peer) -> User:
    user = User()
    peer.acquire(user)
    await user.told.wait()
    return user


async def test_users_share_one_trunk_and_one_handshake() -> None:
    """Those who come while it is dialled wait for it; who comes later gets it at once."""
    async with instances(hang) as (one,), open_outbound(caller(one.port)) as (outbound, _):
        peer, users = peer_of(outbound), [User() for _ in range(5)]
        for user in users:
            peer.acquire(user)
        for user in users:
            await user.told.wait()
        later = User()
        peer.acquire(later)
        assert later.told.is_set()
        assert len({id(user.link) for user in [*users, later]}) == 1
        assert len(one.links) == 1


async def test_a_peer_that_is_another_service_is_refused() -> None:
    """A valid certificate of the wrong service is no use: the user is told who it was, and no trunk stands."""
    async with instances(hang, service="stranger") as (one,), open_outbound(caller(one.port)) as (outbound, side):
        user = await get(peer_of(outbound))
        assert user.link is None
        assert "stranger" in user.reason
        assert side.metrics.trunks_open.child("outbound").value == 0


async def test_an_unreachable_instance_tells_everyone_who_waits() -> None:
    """One failed dial answers all of them."""
    async with open_outbound(caller(dead_port())) as (outbound, _):
        peer, users = peer_of(outbound), [User() for _ in range(3)]
        for user in users:
            peer.acquire(user)
        for user in users:
            await user.told.wait()
            assert user.reason
        assert peer.is_unused


async def test_those_who_wait_are_bounded() -> None:
    """Over the bound nobody waits: they are refused at once."""
    async with instances(hang) as (one,), open_outbound(caller(one.port), limits=Limits(pending=2)) as (outbound, _):
        peer, users = peer_of(outbound), [User() for _ in range(3)]
        for user in users:
            peer.acquire(user)
        assert "too many" in users[2].reason
        await users[0].told.wait()


async def test_a_peer_that_says_goodbye_gets_no_new_streams() -> None:
    """After its GOAWAY the next user gets a new trunk."""
    async with instances(hang) as (one,), open_outbound(caller(one.port)) as (outbound, _):
        peer = peer_of(outbound)
        first = await get(peer)
        await seated(one)
        one.links[0].leave(Code.DONE, "draining")
        while first.link is None or not first.link.is_closed:
            await trio.lowlevel.checkpoint()
        second = await get(peer)
        assert second.link is not None
        assert second.link is not first.link
        assert not second.link.is_closed


async def test_an_instance_that_is_full_is_left_alone_for_a_moment() -> None:
    """After GOAWAY REFUSED it is not dialled, and others are picked, for some seconds; then it is tried again."""
    async with instances(hang, hang) as (one, other), open_outbound(caller(one.port, other.port)) as (outbound, _):
        peer = peer_of(outbound)
        first = await get(peer)
        full = one if peer.candidate.endpoint.port == one.port else other
        await seated(full)
        full.links[0].leave(Code.REFUSED, "full")
        while first.link is None or not first.link.is_closed:
            await trio.lowlevel.checkpoint()
        assert peer.is_full
        assert "no further connection" in (await get(peer)).reason
        assert len(full.links) == 1
        picked = {
            outbound.directory.aim(peer._target).pool.pick(outbound.permit, draw, draw, outbound.ring.time_s())
            for draw in (0.0, 0.3, 0.6, 0.9)
        }
        assert len(picked) == 1
        assert peer.candidate not in picked
        outbound.ring.now_s += 7
        assert not peer.is_full


async def test_rotation_replaces_the_trunk_and_lets_its_streams_finish() -> None:
    """The old trunk takes no new streams once a new one stands, and closes with its last stream."""
    async with instances(hang) as (one,), open_outbound(caller(one.port)) as (outbound, _):
        peer = peer_of(outbound)
        old = (await get(peer)).link
        assert old is not None
        stream = old.trunk.open_tcp()
        old.touch()
        peer.refresh()
        while not old.trunk.is_leaving:
            await trio.lowlevel.checkpoint()
        new = (await get(peer)).link
        assert new is not old
        assert not old.is_closed
        old.reset(stream, Code.CANCELLED)
        old.close_after_flush("done")
        while not old.is_closed:
            await trio.lowlevel.checkpoint()


async def test_an_idle_trunk_is_closed_by_the_sweep() -> None:
    """A trunk without streams for five minutes goes."""
    async with instances(hang) as (one,), open_outbound(caller(one.port)) as (outbound, side):
        peer = peer_of(outbound)
        link = (await get(peer)).link
        assert link is not None
        peer.on_sweep(link.last_s + 301)
        while not link.is_closed:
            await trio.lowlevel.checkpoint()
        assert peer.is_unused
        assert side.metrics.trunks_open.child("outbound").value == 0


async def seated(one: Instance) -> None:
    """Wait until the instance has its side of the trunk."""
    while not one.links:
        await trio.lowlevel.checkpoint()


async def test_an_instance_that_ends_no_frame_is_left() -> None:
    """After `frame_s` its trunk is closed, and counted; the next user gets a new one."""
    async with (
        instances(hang) as (one,),
        open_outbound(caller(one.port), timeouts=Timeouts(frame_s=1)) as (outbound, side),
    ):
        peer = peer_of(outbound)
        link = (await get(peer)).link
        assert link is not None
        await seated(one)
        one.links[0]._sock.send(b"\0\0\0\0\x08\0\0\x08abc")
        while not link.trunk.begun:
            await trio.lowlevel.checkpoint()
        for quarter in range(5):
            assert not link.is_closed
            peer.on_sweep(link.last_s + quarter / 4)
        assert link.is_closed
        assert side.metrics.trunks_cut.child("outbound", "frame").value == 1
        assert (await get(peer)).link is not link

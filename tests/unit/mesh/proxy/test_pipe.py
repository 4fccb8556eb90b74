"""A TCP stream over a trunk: bytes both ways, half-close, resets, bounds in both directions, and the idle time-out."""

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.link import Link
from mesh.proxy.pipe import StreamPipe
from mesh.transport.ring import Ring
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code
from tests.fakes.mesh_world import link_pair

IDLE_S = 60.0


class Scene:
    """`near` talks to `far` through two pipes over one trunk; `ends` are what the pipes said at their end."""

    def __init__(self, ring: Ring, *, attach: bool = True) -> None:
        self.ring = ring
        self.ends: dict[str, list[str]] = {"near": [], "far": []}
        self.far_pipe: StreamPipe
        near, left = socket.socketpair()
        far, self.right = socket.socketpair()
        for sock in (near, left, far, self.right):
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.near, self.far = near, far
        self.attach = attach
        self.dialler, self.server, _, _ = link_pair(ring, self.serve)
        stream = self.dialler.trunk.open_tcp()
        self.dialler.touch()
        self.near_pipe = StreamPipe(ring, self.dialler, stream, IDLE_S, lambda pipe, why: self.ends["near"].append(why))
        self.near_pipe.attach(left)

    def serve(self, link: Link, event: Opened) -> None:
        ended = self.ends["far"].append
        self.far_pipe = StreamPipe(self.ring, link, event.stream, IDLE_S, lambda pipe, why: ended(why))
        if self.attach:
            self.far_pipe.attach(self.right)

    def close(self) -> None:
        self.dialler.close("test")
        self.near.close()
        self.far.close()


async def drain(sock: socket.socket) -> bytes:
    """All that has come and comes, until the end of stream."""
    data = bytearray()
    while True:
        await wait_all_tasks_blocked()
        try:
            chunk = sock.recv(65536)
        except BlockingIOError:
            return bytes(data)
        if not chunk:
            return bytes(data)
        data += chunk


async def fill(sock: socket.socket) -> int:
    """Write until nothing more is taken."""
    total, refused = 0, 0
    while refused < 3:
        try:
            total += sock.send(b"x" * 65536)
            refused = 0
        except BlockingIOError:
            refused += 1
        await wait_all_tasks_blocked()
    return total


@pytest.fixture
async def ring(nursery: trio.Nursery) -> Ring:
    """A running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return ring


async def test_bytes_pass_and_are_counted_and_each_half_ends_by_itself(ring: Ring) -> None:
    """A half-close arrives as one; the other direction goes on; both pipes end without an error."""
    scene = Scene(ring)
    scene.near.send(b"question")
    scene.near.shutdown(socket.SHUT_WR)
    assert await drain(scene.far) == b"question"
    assert scene.ends == {"near": [], "far": []}
    scene.far.send(b"answer")
    scene.far.close()
    assert await drain(scene.near) == b"answer"
    assert scene.ends == {"near": [""], "far": [""]}
    assert (scene.near_pipe.received_bytes, scene.near_pipe.sent_bytes) == (8, 6)
    assert (scene.far_pipe.received_bytes, scene.far_pipe.sent_bytes) == (6, 8)
    assert not scene.dialler.is_closed
    scene.close()


@pytest.mark.parametrize("way", ["there", "back"])
async def test_a_reader_that_does_not_read_stops_the_writer(ring: Ring, way: str) -> None:
    """What lies between them is bounded, in either direction; once it is read, everything has arrived."""
    scene = Scene(ring)
    await wait_all_tasks_blocked()
    writer, reader = (scene.near, scene.far) if way == "there" else (scene.far, scene.near)
    total = await fill(writer)
    assert total < 4 * 1024 * 1024
    writer.shutdown(socket.SHUT_WR)
    assert len(await drain(reader)) == total
    scene.close()


async def test_what_came_before_the_socket_waits_for_it(ring: Ring) -> None:
    """Bytes and the end of stream that come while the application is dialled are given to it then."""
    scene = Scene(ring, attach=False)
    scene.near.send(b"early")
    scene.near.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    scene.far_pipe.attach(scene.right)
    assert await drain(scene.far) == b"early"
    scene.close()


async def test_a_socket_that_is_reset_ends_its_stream_only(ring: Ring) -> None:
    """The other end sees a reset, both pipes end with a reason, and the trunk stands."""
    scene = Scene(ring)
    await wait_all_tasks_blocked()
    scene.far.send(b"unread")
    await wait_all_tasks_blocked()
    scene.near.close()  # with unread bytes: a reset
    scene.far.send(b"more")
    await wait_all_tasks_blocked()
    assert len(scene.ends["near"]) == len(scene.ends["far"]) == 1
    assert scene.ends["near"][0]
    assert not scene.dialler.is_closed
    assert scene.dialler.trunk.streams == {}
    scene.close()


async def test_a_cut_is_told_once_and_says_why(ring: Ring) -> None:
    """A denied stream ends with that reason at the other end; a second cut does nothing."""
    scene = Scene(ring)
    await wait_all_tasks_blocked()
    scene.far_pipe.cut(Code.DENIED, "revoked: no")
    scene.far_pipe.cut(Code.DENIED, "again")
    await wait_all_tasks_blocked()
    assert scene.ends == {"near": ["denied by policy"], "far": ["revoked: no"]}
    scene.close()


async def test_idle_streams_are_ended_and_bytes_keep_one_alive(ring: Ring) -> None:
    """The deadline moves with every byte; past it the stream is cut."""
    scene = Scene(ring)
    await wait_all_tasks_blocked()
    before_s = scene.near_pipe.deadline_s
    scene.near.send(b"x")
    await wait_all_tasks_blocked()
    assert scene.near_pipe.deadline_s > before_s
    scene.near_pipe.on_sweep(before_s)
    assert scene.ends["near"] == []
    scene.near_pipe.on_sweep(scene.near_pipe.deadline_s)
    assert scene.ends["near"] == ["idle for too long"]
    scene.close()


async def test_a_late_socket_for_a_stream_that_ended_is_closed(ring: Ring) -> None:
    """The application was reached after the caller had gone: its socket does not leak."""
    scene = Scene(ring, attach=False)
    await wait_all_tasks_blocked()
    scene.near_pipe.cut(Code.CANCELLED, "gone")
    await wait_all_tasks_blocked()
    scene.far_pipe.attach(scene.right)
    assert scene.right.fileno() == -1
    scene.close()

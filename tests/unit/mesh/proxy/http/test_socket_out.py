"""Writing: pieces of a turn leave together, in order, and a full socket says so and says when it is not."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.http.socket_out import HIGH_BYTES, SocketOut
from mesh.transport.ring import READ, Ring
from tests.fakes.mesh_world import wire


class Scene:
    """The outgoing half of one end; the test reads `far`."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.near, self.far = wire()
        self.rooms = 0
        self.broken: list[OSError] = []
        self.out = SocketOut(ring, self.near, self.on_room, self.broken.append)
        ring.add(self.near.fileno(), self, READ)

    def on_room(self) -> None:
        self.rooms += 1

    def on_ready(self, mask: int) -> None:
        del mask
        self.out.flush()

    def on_failure(self, error: Exception) -> None:
        raise AssertionError(error)

    async def read_all(self) -> bytes:
        data = bytearray()
        while True:
            await wait_all_tasks_blocked()
            try:
                piece = self.far.recv(1 << 20)
            except BlockingIOError:
                return bytes(data)
            if not piece:
                return bytes(data)
            data += piece

    def close(self) -> None:
        self.out.close()
        self.near.close()
        self.far.close()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    """A socket on a running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return Scene(ring)


async def test_what_is_sent_at_once_never_overtakes(scene: Scene) -> None:
    """A message sent while others wait goes behind them."""
    scene.out.write(b"a")
    scene.out.send(b"b")
    scene.out.write(b"c")
    assert await scene.read_all() == b"abc"
    assert scene.out.is_empty
    scene.close()


async def test_a_full_socket_has_no_room_until_it_drained(scene: Scene) -> None:
    """Nothing is lost or reordered, and `on_room` comes once."""
    pieces = [bytes([number]) * 65536 for number in range(20)]
    for piece in pieces:
        scene.out.write(piece)
    assert not scene.out.has_room
    assert await scene.read_all() == b"".join(pieces)
    assert scene.rooms == 1
    assert scene.out.has_room
    scene.out.write(b"x" * (HIGH_BYTES - 1))
    assert scene.out.has_room
    scene.close()


async def test_the_end_comes_after_what_waits(scene: Scene) -> None:
    """Whoever ends it is told once everything is written and the peer has the end."""
    told: list[int] = []
    pieces = [bytes([number]) * 65536 for number in range(20)]
    for piece in pieces:
        scene.out.write(piece)
    scene.out.end(lambda: told.append(1))
    assert told == []
    assert scene.out.untaken_bytes > 0
    assert await scene.read_all() == b"".join(pieces)
    assert told == [1]
    assert scene.out.is_ended
    assert scene.far.recv(1) == b""
    scene.close()


async def test_a_broken_socket_is_told(scene: Scene) -> None:
    """Writing to a peer that is gone tells the owner; after `close` nothing is written."""
    scene.ring.remove(scene.near.fileno())
    scene.far.close()
    scene.out.send(b"x")
    assert len(scene.broken) == 1
    scene.out.close()
    scene.out.write(b"y")
    await wait_all_tasks_blocked()
    assert len(scene.broken) == 1
    scene.near.close()

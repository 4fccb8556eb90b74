"""The raw relay: bytes, half-close, bounds, idle time-out and cut."""

import socket

import pytest
import trio

from mesh.transport.relay import Relay, RelayEnd
from mesh.transport.ring import Ring


class Scene:
    """A relay between two socket pairs: `near` talks to `far` through it."""

    def __init__(self, ring: Ring, idle_timeout_s: float = 0.0, head: bytes = b"") -> None:
        near, left = socket.socketpair()
        far, right = socket.socketpair()
        for sock in (near, left, far, right):
            sock.settimeout(0)
        self.near, self.far = trio.socket.from_stdlib_socket(near), trio.socket.from_stdlib_socket(far)
        self.ends: list[RelayEnd] = []
        self.ended = trio.Event()
        self.relay = Relay(ring, left, right, idle_timeout_s=idle_timeout_s, on_end=self._end, head=head)

    def _end(self, end: RelayEnd) -> None:
        self.ends.append(end)
        self.ended.set()

    def close(self) -> None:
        self.near.close()
        self.far.close()


async def receive_exactly(sock: trio.socket.SocketType, size: int) -> bytes:
    """Read until `size` bytes or the end."""
    data = bytearray()
    while len(data) < size and (chunk := await sock.recv(65536)):
        data += chunk
    return bytes(data)


async def send_all(sock: trio.socket.SocketType, data: bytes) -> None:
    """Send everything."""
    view = memoryview(data)
    while view:
        view = view[await sock.send(view) :]


@pytest.fixture
async def ring(nursery: trio.Nursery) -> Ring:
    """A running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return ring


async def test_bytes_pass_both_ways_and_a_head_goes_first(ring: Ring) -> None:
    """What is sent on one side arrives on the other; the head read before comes first; both are counted."""
    scene = Scene(ring, head=b"hello ")
    await scene.near.send(b"world")
    assert await receive_exactly(scene.far, 11) == b"hello world"
    await scene.far.send(b"yes")
    assert await scene.near.recv(10) == b"yes"
    assert (scene.relay.bytes_to_right, scene.relay.bytes_to_left) == (11, 3)
    scene.close()
    await scene.ended.wait()


async def test_a_half_close_is_passed_on_and_the_other_way_stays_open(ring: Ring) -> None:
    """One side's end of stream arrives as one; the other direction goes on until it ends too."""
    scene = Scene(ring)
    await scene.near.send(b"question")
    scene.near.shutdown(socket.SHUT_WR)
    assert await receive_exactly(scene.far, 100) == b"question"
    await scene.far.send(b"answer")
    scene.far.shutdown(socket.SHUT_WR)
    assert await receive_exactly(scene.near, 100) == b"answer"
    await scene.ended.wait()
    assert scene.ends == [RelayEnd("closed", 8, 6)]
    scene.close()


async def test_a_slow_reader_stops_the_writer_and_everything_arrives(ring: Ring, nursery: trio.Nursery) -> None:
    """Far more than the buffers hold arrives whole and in order, however slow the reader starts."""
    scene = Scene(ring)
    payload = bytes(range(256)) * 16 * 1024
    nursery.start_soon(send_all, scene.near, payload)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert scene.relay.bytes_to_right < len(payload)
    assert await receive_exactly(scene.far, len(payload)) == payload
    scene.close()
    await scene.ended.wait()


async def test_cut_resets_both_sides_once(ring: Ring) -> None:
    """`cut` ends both connections at once and reports its reason, exactly once."""
    scene = Scene(ring)
    scene.relay.cut("revoked")
    scene.relay.cut("again")
    assert await scene.near.recv(1) == b""
    assert await scene.far.recv(1) == b""
    assert [end.reason for end in scene.ends] == ["revoked"]
    assert len(ring) == 0
    scene.close()


async def test_an_idle_relay_ends_and_a_busy_one_does_not(autojump_clock: trio.testing.MockClock) -> None:
    """The idle time-out counts from the last byte, not from the start."""
    ring = Ring()
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        scene = Scene(ring, idle_timeout_s=60)
        await trio.sleep(40)
        await scene.near.send(b"x")
        await scene.far.recv(1)
        await trio.sleep(40)
        assert not scene.ends
        with trio.fail_after(30):
            await scene.ended.wait()
        assert scene.ends[0].reason == "idle"
        scene.close()
        nursery.cancel_scope.cancel()


async def test_a_side_that_has_ended_both_ways_does_not_cut_the_other_off(ring: Ring) -> None:
    """A server that half-closes first still gets the whole upload, though its client hung up long before it was read."""
    scene = Scene(ring)
    scene.far.shutdown(socket.SHUT_WR)
    assert await scene.near.recv(1) == b""
    payload = bytes(range(256)) * 4096
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def upload() -> None:
            await send_all(scene.near, payload)
            scene.near.shutdown(socket.SHUT_WR)

        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await receive_exactly(scene.far, len(payload) + 1) == payload
    await scene.ended.wait()
    assert scene.ends == [RelayEnd("closed", len(payload), 0)]
    scene.close()


async def test_a_reset_while_reading_is_paused_ends_the_relay(ring: Ring) -> None:
    """A side that is not read because the other is full is still watched for a reset."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    left, _ = listener.accept()
    listener.close()
    far, right = socket.socketpair()
    for sock in (near, left, right):
        sock.settimeout(0)
    ends: list[RelayEnd] = []
    ended = trio.Event()

    def note(end: RelayEnd) -> None:
        ends.append(end)
        ended.set()

    relay = Relay(ring, left, right, idle_timeout_s=0, on_end=note)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, trio.socket.from_stdlib_socket(near), bytes(64 * 1024 * 1024))
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert relay.bytes_to_right < 64 * 1024 * 1024
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    with trio.fail_after(1):
        await ended.wait()
    assert ends[0].reason == "error"
    assert len(ring) == 0
    far.close()

"""A client's connection: one request at a time, malformed ones answered and closed, slow ones not waited for."""

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.http.client import ClientConnection
from mesh.proxy.settings import Timeouts
from mesh.transport.ring import Ring
from mesh.wire.fields import HeadError
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import Request
from tests.fakes.mesh_world import wire

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


class Keeper:
    """Answers every request at once, or not at all."""

    timeouts = Timeouts()
    is_draining = False

    def __init__(self) -> None:
        self.begun = 0
        self.malformed: list[int] = []
        self.closed = 0

    def begin(self, client: ClientConnection, request: Request) -> None:
        del request
        self.begun += 1
        client.answer_plain(200, f"number {self.begun}")

    def on_malformed(self, client: ClientConnection, error: HeadError) -> None:
        del client
        self.malformed.append(error.status)

    def on_closed(self, client: ClientConnection) -> None:
        del client
        self.closed += 1


class Large(Keeper):
    """Answers with much more than sockets hold."""

    size = 400_000

    def begin(self, client: ClientConnection, request: Request) -> None:
        self.begun += 1
        client.answer_plain(200, "x" * (self.size - 1))


class Scene:
    """A client's connection; the test is the client at `far`."""

    def __init__(self, ring: Ring, keeper: Keeper | None = None) -> None:
        self.ring = ring
        near, self.far = wire()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        self.keeper = keeper or Keeper()
        self.client = ClientConnection(ring, near, Memo(), self.keeper)

    async def ask(self, data: bytes) -> bytes:
        if data:
            self.far.send(data)
        await wait_all_tasks_blocked()
        return bytes(self.far.recv(65536))

    def close(self) -> None:
        self.client.close()
        self.far.close()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    """A connection on a running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return Scene(ring)


async def test_requests_sent_ahead_are_answered_in_order(scene: Scene) -> None:
    """Three in one piece: three answers, and the connection stays."""
    text = await scene.ask(GET * 3)
    assert [text.index(b"number %d" % number) for number in (1, 2, 3)] == sorted(
        text.index(b"number %d" % number) for number in (1, 2, 3)
    )
    assert scene.keeper.closed == 0
    scene.close()


async def test_a_malformed_request_is_answered_and_closed(scene: Scene) -> None:
    """Its bytes, and those behind it, reach no exchange."""
    text = await scene.ask(b"GET /a HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n" + GET)
    assert text.startswith(b"HTTP/1.1 400 ")
    assert (scene.keeper.begun, scene.keeper.malformed) == (0, [400])
    scene.close()


async def test_a_slow_head_is_408(scene: Scene) -> None:
    """A head that does not end in time is not waited for; an idle connection is closed without a word."""
    scene.far.send(b"GET /a HT")
    await wait_all_tasks_blocked()
    scene.client.on_sweep(scene.ring.time_s() + 11)
    assert (await scene.ask(b"")).startswith(b"HTTP/1.1 408 ")
    assert scene.keeper.closed == 1
    scene.close()


async def test_close_is_told_once(scene: Scene) -> None:
    """The keeper forgets it once."""
    scene.far.close()
    await wait_all_tasks_blocked()
    scene.client.close()
    assert scene.keeper.closed == 1


CLOSE = b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


class Slow(Scene):
    """A client that reads in pieces, each as much later as the test says; its answers do not fit the sockets."""

    def __init__(self, ring: Ring, clock: list[float]) -> None:
        super().__init__(ring, Large())
        self.clock = clock
        self.got = b""

    async def later(self, step_s: float) -> None:
        self.clock[0] += step_s
        self.client.on_sweep(self.clock[0])
        await wait_all_tasks_blocked()

    async def read(self, step_s: float, most_bytes: int = 1 << 30) -> None:
        """Read until the end or `most_bytes`, whatever comes first."""
        await wait_all_tasks_blocked()
        while len(self.got) < most_bytes:
            await self.later(step_s)
            piece = bytes(self.far.recv(20_000))
            if not piece:
                return
            self.got += piece

    @property
    def is_whole(self) -> bool:
        return len(self.got.partition(b"\r\n\r\n")[2]) == Large.size


@pytest.fixture
async def slow(nursery: trio.Nursery) -> Slow:
    """A connection on a running ring whose clock is the test's."""
    clock = [100.0]
    ring = Ring(lambda: clock[0])
    await nursery.start(ring.run)
    return Slow(ring, clock)


async def test_a_slow_reader_of_a_last_answer_gets_all_of_it(slow: Slow) -> None:
    """After `Connection: close` bytes that wait are given time as long as some of them are taken; then the end comes."""
    slow.far.send(CLOSE)
    await slow.read(10)
    assert slow.is_whole
    assert slow.keeper.closed == 1
    slow.close()


async def test_a_reader_that_stops_is_left(slow: Slow) -> None:
    """Nothing taken for the time of a drain: the connection is closed."""
    slow.far.send(CLOSE)
    await slow.read(10, 100_000)
    await slow.later(29)
    assert slow.keeper.closed == 0
    for _ in range(2):
        await slow.later(31)
    assert slow.keeper.closed == 1
    slow.close()


async def test_who_sends_no_more_reads_on(slow: Slow) -> None:
    """A client that has ended its side while a kept connection's answer waits is sent all of it, then the end."""
    slow.far.send(GET)
    await wait_all_tasks_blocked()
    slow.far.shutdown(socket.SHUT_WR)
    await slow.read(10)
    assert slow.is_whole
    assert slow.keeper.closed == 1
    slow.close()


async def test_a_drain_leaves_no_answer_half_sent(slow: Slow) -> None:
    """A kept connection whose answer waits to be read is closed after it, not in the middle; nor is it for being idle."""
    slow.far.send(GET)
    await slow.read(10, 30_000)
    slow.client.drain()
    await slow.read(10)
    assert slow.is_whole
    slow.close()


async def test_an_idle_connection_that_is_still_read_is_not_cut(slow: Slow) -> None:
    """The time-out of kept connections does not end an answer."""
    slow.far.send(GET)
    await slow.read(10, 30_000)
    await slow.later(76)
    await slow.read(10)
    assert slow.is_whole
    slow.close()


async def test_the_wait_for_a_clients_end_is_short(scene: Scene) -> None:
    """Who was sent everything, and might still be sending, has a second."""
    answer = await scene.ask(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
    assert answer.endswith(b"number 1\n")
    assert scene.keeper.closed == 0
    scene.client.on_sweep(scene.ring.time_s() + 0.9)
    scene.client.on_sweep(scene.ring.time_s() + 1.5)
    scene.client.on_sweep(scene.ring.time_s() + 3)
    assert scene.keeper.closed == 1
    scene.close()

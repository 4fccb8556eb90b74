"""A client's connection: one request at a time, malformed ones answered and closed, slow ones not waited for."""

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


class Scene:
    """A client's connection; the test is the client at `far`."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        near, self.far = wire()
        self.keeper = Keeper()
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

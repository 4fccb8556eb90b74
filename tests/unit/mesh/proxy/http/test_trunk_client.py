"""A client at the far end of a trunk: its stream ends with the answer, and its window only opens for what was passed on."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.http.trunk_client import TrunkClient
from mesh.proxy.link import Link
from mesh.telemetry.metrics import Counter
from mesh.transport.ring import Ring
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code, encode_fields, encode_request
from tests.fakes.mesh_world import Owner, link_pair


class Exchange:
    """Notes what its client tells it."""

    deadline_s = 0.0

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_body(self, data: object, *, end: bool) -> None:
        self.heard.append((bytes(data), end))  # type: ignore[call-overload]

    def on_body_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self.heard.append(trailers)

    def on_client_gone(self, reason: str) -> None:
        self.heard.append(reason)

    def on_client_room(self) -> None:
        self.heard.append("room")

    def has_room(self) -> bool:
        return True


class Scene:
    """One request that goes on, from a dialler to a `TrunkClient` with an exchange."""

    def __init__(self, ring: Ring) -> None:
        self.exchange = Exchange()
        self.malformed = Counter()
        self.near, _, _, _ = link_pair(ring, self.serve)
        head = encode_request(b"POST", b"/", encode_fields([(b"host", b"a")]))
        self.stream = self.near.trunk.open_http(head, end=False)
        self.stream.owner = self.owner = Owner()
        self.near.touch()

    def serve(self, link: Link, event: Opened) -> None:
        self.client = TrunkClient(link, event.stream, self.malformed, end=event.end)
        self.client.exchange = self.exchange  # type: ignore[assignment]


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    """A request under way."""
    ring = Ring()
    await nursery.start(ring.run)
    scene = Scene(ring)
    await wait_all_tasks_blocked()
    return scene


async def test_an_answer_before_the_requests_end_stops_the_request(scene: Scene) -> None:
    """The whole answer arrives; what is left of the request is not wanted."""
    scene.client.answer_plain(403, "no")
    await wait_all_tasks_blocked()
    assert scene.owner.heard[0][:2] == ("head", 403)
    assert not scene.stream.is_open
    scene.near.close("test")


async def test_malformed_trailers_reset_the_stream(scene: Scene) -> None:
    """They reach no exchange; the refusal is counted and the exchange told that its client is gone."""
    scene.near.trunk.out.send_end(scene.stream, encode_fields([(b"bad name", b"x")]))
    scene.near.touch()
    await wait_all_tasks_blocked()
    assert scene.owner.heard == [("reset", Code.PROTOCOL)]
    assert scene.exchange.heard == ["the request's trailers are malformed"]
    assert scene.malformed.value == 1
    scene.near.close("test")


async def test_a_reset_by_the_caller_is_told_once(scene: Scene) -> None:
    """Nobody waits for the answer any more."""
    scene.near.reset(scene.stream, Code.CANCELLED)
    await wait_all_tasks_blocked()
    assert len(scene.exchange.heard) == 1
    assert scene.client.exchange is None
    scene.near.close("test")

"""One line and the right counts for everything that ended."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from mesh.proxy.record import ALLOW, DENY, MALFORMED, Brief, Pair, Recorder
from mesh.telemetry.metrics import Metrics
from mesh.transport.ring import Ring
from tests.fakes.mesh_world import Lines


class Told(msgspec.Struct):
    """An exchange that ended."""

    pair: Pair
    started_s: float
    method: bytes = b"GET"
    path: bytes = b"/a"
    status: int = 200
    received_bytes: int = 3
    sent_bytes: int = 5
    decision: str = ALLOW
    rule: str = "rule"
    endpoint: str = "api-1"
    error: str = ""
    trace: bytes = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"


class Desk:
    """A recorder at a fixed time."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        ring.now_s = 100.0
        self.metrics = Metrics()
        self.log = Lines()
        self.recorder = Recorder("source", ring, self.metrics, self.log)  # type: ignore[arg-type]
        self.pair = Pair(self.recorder, "web", "api")

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.lines]


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A recorder with its log."""
    ring = Ring(clock=lambda: 100.0)
    yield Desk(ring)
    ring.close()


def test_a_request_is_one_line_and_one_count(desk: Desk) -> None:
    """The line tells who, what, how long and by which rule; the counters have the same numbers."""
    desk.recorder.request(Told(desk.pair, 99.75))
    assert len(desk.log.lines) == 1
    assert desk.log.lines[0].endswith(b"\n")
    line = desk.lines[0]
    assert (line["source"], line["destination"], line["method"], line["path"]) == ("web", "api", "GET", "/a")
    assert (line["status"], line["duration_ms"], line["trace_id"]) == (200, 250.0, "a" * 32)
    assert (line["bytes_received"], line["bytes_sent"], line["rule"]) == (3, 5, "rule")
    series = desk.metrics.request_series("source", "web", "api")
    assert (series.received_bytes.value, series.sent_bytes.value) == (3, 5)
    assert desk.metrics.requests.child("source", "web", "api", "200").value == 1


def test_texts_are_data(desk: Desk) -> None:
    """What a peer put into an error or a refused path cannot end the line or begin another one."""
    evil = 'x"}\n{"decision":"allow'
    desk.recorder.request(Told(desk.pair, 99.0, error=evil))
    desk.recorder.refused(Brief(desk.pair, 99.0, evil.encode(), evil.encode(), 400, decision=MALFORMED, error=evil))
    assert [text.count(b"\n") for text in desk.log.lines] == [1, 1]
    assert [line["error"] for line in desk.lines] == [evil, evil]
    assert desk.lines[1]["path"] == evil


def test_a_long_path_is_cut(desk: Desk) -> None:
    """A line is bounded, whatever is asked for."""
    desk.recorder.request(Told(desk.pair, 99.0, path=b"/" + b"a" * 9000))
    desk.recorder.refused(Brief(desk.pair, 99.0, b"GET", b"/" + b"a" * 9000, 400))
    assert all(len(text) < 2000 for text in desk.log.lines)


def test_a_stream_counts_its_bytes(desk: Desk) -> None:
    """A TCP stream is a line of its own protocol, and adds to the stream's counters only."""
    desk.recorder.stream(Brief(desk.pair, 90.0, received_bytes=7, sent_bytes=9, decision=DENY))
    line = desk.lines[0]
    assert (line["protocol"], line["decision"], line["duration_ms"]) == ("tcp", "deny", 10_000.0)
    assert (desk.pair.streams.received_bytes.value, desk.pair.streams.sent_bytes.value) == (7, 9)
    assert desk.pair.requests is None


def test_denied_and_revoked_are_counted_by_pair(desk: Desk) -> None:
    """Each has a counter of its own."""
    desk.recorder.denied(desk.pair)
    desk.recorder.revoked(desk.pair)
    desk.recorder.revoked(desk.pair)
    assert desk.metrics.denied.child("web", "api").value == 1
    assert desk.metrics.revoked.child("web", "api").value == 2


def test_lines_of_later_turns_bear_their_own_time(desk: Desk) -> None:
    """The beginning of a line is kept for a turn, not longer."""
    desk.recorder.request(Told(desk.pair, 99.0))
    desk.recorder.request(Told(desk.pair, 99.0))
    desk.ring.now_s = 107.0
    desk.recorder.request(Told(desk.pair, 99.0))
    assert [line["time"] for line in desk.lines] == ["T100", "T100", "T107"]

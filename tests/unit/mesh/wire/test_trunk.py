"""The trunk machine: pairs joined in memory, bounds, and hostile peers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import (
    STREAM_COST_BYTES,
    Data,
    Ended,
    Event,
    Failed,
    GoneAway,
    Headed,
    Opened,
    Stream,
    TrunkLimits,
    WasReset,
)
from mesh.wire.trunk_frames import (
    DATA,
    END,
    FLAG_BODY,
    FLAG_END,
    FLAG_MORE,
    GOAWAY,
    HEAD,
    HEADER,
    MAX_PAYLOAD_BYTES,
    OPEN,
    PING,
    RESET,
    STREAM_WINDOW_BYTES,
    TRAILERS,
    TRUNK_WINDOW_BYTES,
    WINDOW,
    Code,
    OpenedRequest,
    TrunkError,
    encode_fields,
    encode_request,
)

BLOCK = encode_fields([(b"host", b"web"), (b"accept", b"*/*")])
REQUEST = OpenedRequest(b"GET", b"/a?b", BLOCK, b"00-trace", 1500)
OPEN_PAYLOAD = encode_request(b"GET", b"/a?b", BLOCK, b"00-trace", 1500)


def frame(stream_id: int, kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """One frame, as a peer may write it."""
    return HEADER.pack(stream_id, kind, flags, len(payload)) + payload


class Pair:
    """A dialler and an acceptor whose outputs are each other's inputs."""

    def __init__(self, limits: TrunkLimits | None = None) -> None:
        self.near = Trunk(is_dialler=True, limits=limits)
        self.far = Trunk(is_dialler=False, limits=limits)

    def to_far(self) -> list[Event]:
        return _pass(self.near, self.far)

    def to_near(self) -> list[Event]:
        return _pass(self.far, self.near)

    def open(self, *, end: bool = True) -> tuple[Stream, Stream]:
        """Open an HTTP stream on both sides."""
        stream = self.near.open_http(OPEN_PAYLOAD, end=end)
        [opened] = self.to_far()
        assert isinstance(opened, Opened)
        return stream, opened.stream


def _pass(source: Trunk, sink: Trunk) -> list[Event]:
    events: list[Event] = []
    while data := source.out.take(65536):
        events += sink.receive(data)
    return events


def served(*frames: bytes, limits: TrunkLimits | None = None) -> tuple[Trunk, list[Event]]:
    """What the accepting side makes of frames."""
    trunk = Trunk(is_dialler=False, limits=limits)
    return trunk, trunk.receive(b"".join(frames))


def test_a_request_and_its_answer_cross_with_heads_bodies_and_ends() -> None:
    """What one side sends is what the other side is told, and a finished stream leaves nothing behind."""
    pair = Pair()
    near, far = pair.open(end=False)
    pair.near.out.send_data(near, b"question", end=True)
    assert pair.to_far() == [Data(far, b"question", end=True)]
    pair.far.out.send_head(far, 100, b"\0", end=False)
    pair.far.out.send_head(far, 200, BLOCK, end=False)
    pair.far.out.send_data(far, b"answer")
    pair.far.out.send_end(far, trailers=BLOCK)
    assert pair.to_near() == [
        Headed(near, 100, b"\0", end=False),
        Headed(near, 200, BLOCK, end=False),
        Data(near, b"answer", end=False),
        Ended(near, BLOCK),
    ]
    assert not pair.near.streams
    assert not pair.far.streams


def test_the_request_head_arrives_as_it_was_sent() -> None:
    """Method, target, trace, time left and fields are the same on the other side."""
    pair = Pair()
    pair.near.open_http(OPEN_PAYLOAD, end=True)
    [event] = pair.to_far()
    assert isinstance(event, Opened)
    assert event.request == REQUEST
    assert event.end


def test_a_whole_message_fits_one_frame() -> None:
    """A body that is there with its head rides along, both ways; a large one follows in frames of its own."""
    pair = Pair()
    near = pair.near.open_http(OPEN_PAYLOAD, end=True, body=b"question")
    [opened] = pair.to_far()
    assert isinstance(opened, Opened)
    assert (opened.body, opened.end) == (b"question", True)
    pair.far.out.send_answer(opened.stream, 200, BLOCK, b"answer")
    assert pair.to_near() == [Headed(near, 200, BLOCK, end=True, body=b"answer")]
    assert not pair.near.streams
    large = pair.near.open_http(OPEN_PAYLOAD, end=True, body=b"x" * 20_000)
    events = pair.to_far()
    assert sum(len(event.data) for event in events if isinstance(event, Data)) == 20_000
    assert large.end_sent


def test_a_head_of_many_frames_is_joined() -> None:
    """A head larger than a frame crosses whole."""
    pair = Pair()
    block = encode_fields([(b"cookie", b"x" * 50_000)])
    pair.near.open_http(encode_request(b"GET", b"/", block), end=True)
    [event] = pair.to_far()
    assert isinstance(event, Opened)
    assert event.request is not None
    assert event.request.block == block


def test_a_large_body_waits_for_the_windows_and_arrives_whole() -> None:
    """Nothing is sent beyond the stream's window, and reading lets the rest through in order."""
    pair = Pair()
    near, far = pair.open(end=False)
    body = bytes(range(256)) * 4096
    pair.near.out.send_data(near, body, end=True)
    got = bytearray()
    first = pair.to_far()
    assert sum(len(event.data) for event in first if isinstance(event, Data)) == STREAM_WINDOW_BYTES
    events = first
    while events:
        for event in events:
            assert isinstance(event, Data)
            got += event.data
            pair.far.consumed(far, len(event.data))
        pair.to_near()
        events = pair.to_far()
    assert bytes(got) == body
    assert far.end_received


def test_streams_that_wait_leave_in_turn() -> None:
    """A stream with much to send gives way to the others after each frame."""
    pair = Pair()
    streams = [pair.open(end=False)[0] for _ in range(2)]
    for stream in streams:
        pair.near.out.send_data(stream, b"x" * 40_000)
    order = [event.stream.id for event in pair.to_far() if isinstance(event, Data)]
    assert order == [1, 2, 1, 2, 1, 2]


def test_a_sender_is_told_to_stop_and_when_to_go_on() -> None:
    """A full queue says no room; once it has drained the stream is in `writable`."""
    pair = Pair()
    near, far = pair.open(end=False)
    while pair.near.out.has_room(near):
        pair.near.out.send_data(near, b"x" * 16_000)
    assert near.queued_bytes >= pair.near.limits.stream_queue_bytes
    for event in pair.to_far():
        assert isinstance(event, Data)
        pair.far.consumed(far, len(event.data))
    pair.to_near()
    pair.to_far()
    assert pair.near.out.writable == [near]


def test_a_reset_ends_both_sides_and_gives_the_trunk_its_window_back() -> None:
    """After a reset nothing more is sent, late frames of the other side are ignored, and no window leaks."""
    pair = Pair()
    for _ in range(3 * TRUNK_WINDOW_BYTES // STREAM_WINDOW_BYTES):
        near, far = pair.open(end=False)
        pair.near.out.send_data(near, b"x" * STREAM_WINDOW_BYTES)
        pair.far.reset(far, Code.BROKEN)
        assert not [event for event in pair.to_far() if not isinstance(event, Data)]
        assert pair.to_near() == [WasReset(near, Code.BROKEN)]
    assert not pair.near.streams
    assert pair.far.error is None


def test_goaway_refuses_what_comes_later_and_keeps_what_stands() -> None:
    """The side that leaves finishes its streams; those opened meanwhile come back as refused."""
    pair = Pair()
    near, far = pair.open()
    pair.far.leave(Code.DONE, "rotated")
    late = pair.near.open_http(OPEN_PAYLOAD, end=True)
    assert pair.to_far() == []
    events = pair.to_near()
    assert events[:2] == [WasReset(late, Code.REFUSED), GoneAway(Code.DONE, "rotated")]
    assert pair.near.is_full
    pair.far.out.send_head(far, 200, BLOCK, end=True)
    assert pair.to_near() == [Headed(near, 200, BLOCK, end=True)]


def test_ping_is_answered_once_for_many() -> None:
    """However many PINGs come in one turn, one answer waits."""
    trunk, events = served(*[frame(0, PING, bytes(8))] * 1000)
    assert events == []
    assert len(trunk.out.take(65536)) == 16


VIOLATIONS = {
    "unknown kind": frame(0, 10),
    "length over the bound": HEADER.pack(1, DATA, 0, MAX_PAYLOAD_BYTES + 1),
    "stream out of order": frame(2, OPEN, OPEN_PAYLOAD),
    "stream opened twice": frame(1, OPEN, OPEN_PAYLOAD) * 2,
    "unknown protocol": frame(1, OPEN, b"\7"),
    "no protocol": frame(1, OPEN),
    "open cut short": frame(1, OPEN, OPEN_PAYLOAD[:8]),
    "open with lengths beyond it": frame(1, OPEN, b"\1" + b"\xff" * 10),
    "unknown flags": frame(1, OPEN, OPEN_PAYLOAD, 128),
    "data before open": frame(1, DATA, b"x"),
    "data after the end": frame(1, OPEN, OPEN_PAYLOAD, FLAG_END) + frame(1, DATA, b"x"),
    "empty data": frame(1, OPEN, OPEN_PAYLOAD) + frame(1, DATA),
    "window overrun": frame(1, OPEN, OPEN_PAYLOAD) + frame(1, DATA, b"x" * 16_000) * 5,
    "head from the dialler": frame(1, OPEN, OPEN_PAYLOAD) + frame(1, HEAD, b"\0\xc8\0\1\0"),
    "body flag without a body": frame(1, OPEN, OPEN_PAYLOAD, FLAG_BODY),
    "body without its flag": frame(1, OPEN, OPEN_PAYLOAD + b"x"),
    "body in a head of parts": frame(1, OPEN, OPEN_PAYLOAD, FLAG_MORE | FLAG_BODY),
    "head interrupted": frame(1, OPEN, OPEN_PAYLOAD, FLAG_MORE) + frame(0, PING, bytes(8)),
    "head without end": frame(1, OPEN, b"\1" * MAX_PAYLOAD_BYTES, FLAG_MORE) * 5,
    "trailers on tcp": frame(1, OPEN, b"\0") + frame(1, TRAILERS, BLOCK),
    "end with content": frame(1, OPEN, OPEN_PAYLOAD) + frame(1, END, b"x"),
    "reset of nothing": frame(1, RESET, bytes(4)),
    "reset without code": frame(1, OPEN, OPEN_PAYLOAD) + frame(1, RESET),
    "zero window": frame(0, WINDOW, bytes(4)),
    "window over 2 GiB": frame(0, WINDOW, b"\x7f\xff\xff\xff") * 2,
    "ping of nine bytes": frame(0, PING, bytes(9)),
    "goaway cut short": frame(0, GOAWAY, bytes(7)),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_ends_the_trunk_with_a_goaway(name: str) -> None:
    """Each is the peer's error; nothing but GOAWAY is sent after it and nothing is heard any more."""
    trunk, events = served(VIOLATIONS[name])
    assert isinstance(events[-1], Failed)
    assert events[-1].error.is_peer
    assert trunk.out.take(65536)[4] == GOAWAY
    assert trunk.receive(frame(0, PING, bytes(8))) == []
    assert not trunk.out.has_output


def test_a_flood_of_resets_ends_the_trunk() -> None:
    """Streams opened and reset without any finished are taken for a flood."""
    flood = b"".join(frame(n, OPEN, OPEN_PAYLOAD) + frame(n, RESET, bytes(4)) for n in range(1, 3000))
    _, events = served(flood)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.code is Code.FLOOD
    assert sum(isinstance(event, Opened) for event in events) <= 1001


def test_a_flood_of_opens_is_refused_then_ends_the_trunk() -> None:
    """No more than the limit are held; those that go on beyond it lose the trunk."""
    trunk, events = served(*(frame(n, OPEN, OPEN_PAYLOAD) for n in range(1, 100)), limits=TrunkLimits(max_streams=20))
    assert sum(isinstance(event, Opened) for event in events) == 20
    assert isinstance(events[-1], Failed)
    assert trunk.error is not None


def test_held_heads_are_bounded() -> None:
    """Large heads are refused once those that are held come to the bound."""
    large = encode_request(b"GET", b"/", encode_fields([(b"a", b"x" * 15_000)]))
    _, events = served(*(frame(n, OPEN, large) for n in range(1, 10)), limits=TrunkLimits(max_held_head_bytes=80_000))
    assert sum(isinstance(event, Opened) for event in events) == 2


def test_opening_on_a_trunk_that_takes_none_is_our_error() -> None:
    """The pool must ask `is_full` first."""
    trunk = Trunk(is_dialler=True, limits=TrunkLimits(max_streams=1))
    trunk.open_tcp()
    assert trunk.is_full
    with pytest.raises(TrunkError) as caught:
        trunk.open_tcp()
    assert not caught.value.is_peer


frames = st.lists(
    st.one_of(
        st.builds(
            frame,
            st.integers(0, 4),
            st.integers(0, 11),
            st.one_of(
                st.binary(max_size=40),
                st.just(OPEN_PAYLOAD),
                st.just(b"\0\xc8" + len(BLOCK).to_bytes(2, "big") + BLOCK),
                st.just(OPEN_PAYLOAD + b"body"),
                st.just(b"\0"),
            ),
            st.integers(0, 7),
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
).map(b"".join)


def plain(events: list[Event]) -> list[object]:
    """Events without object identity, with the data of a stream joined."""
    out: list[object] = []
    for event in events:
        if isinstance(event, Data):
            out.append(("data", event.stream.id, bytes(event.data), event.end))
        elif isinstance(event, Failed):
            out.append(("failed", event.error.code, event.error.reason))
        else:
            stream = getattr(event, "stream", None)
            rest = [getattr(event, name) for name in event.__struct_fields__ if name != "stream"]
            out.append((type(event).__name__, stream and stream.id, rest))
    return out


@settings(max_examples=400, deadline=None)
@given(frames, st.booleans(), st.integers(0, 3))
def test_fuzz_whole_equals_byte_by_byte(data: bytes, is_dialler: bool, streams: int) -> None:
    """Any bytes give events or the peer's error, and the same ones however they are cut."""
    sides = []
    for _ in range(2):
        trunk = Trunk(is_dialler=is_dialler)
        if is_dialler:
            for number in range(streams):
                trunk.open_http(OPEN_PAYLOAD, end=False) if number else trunk.open_tcp()
        sides.append(trunk)
    whole = sides[0].receive(memoryview(data))
    pieces: list[Event] = []
    for byte in data:
        pieces += sides[1].receive(bytes((byte,)))
    assert plain(whole) == plain(pieces)
    for side in sides:
        assert side.error is None or side.error.is_peer
    assert sides[0].out.take(1 << 20)[-16:] == sides[1].out.take(1 << 20)[-16:]


def test_what_a_peer_makes_us_hold_is_known() -> None:
    """Streams, heads, bodies, half frames and unread answers all weigh, and nothing once they are gone."""
    pair = Pair()
    near, far = pair.near, pair.far
    assert far.held_bytes == 0
    stream, served = pair.open(end=False)
    head = far.held_bytes
    assert head > STREAM_COST_BYTES + len(BLOCK)
    near.out.send_data(stream, bytes(1000))
    pair.to_far()
    assert far.held_bytes == head + 1000
    far.consumed(served, 400)
    assert far.held_bytes == head + 600
    half = frame(1, DATA, bytes(100))[:50]
    far.receive(half)
    assert far.held_bytes == head + 650
    far.receive(bytes(58))
    far.out.send_head(served, 200, BLOCK, end=False)
    far.out.send_data(served, bytes(5000))
    assert far.held_bytes >= head + 700 + 5000
    pair.to_near()
    assert far.held_bytes == head + 700
    near.reset(stream, Code.CANCELLED)
    pair.to_far()
    assert far.held_bytes == 0


def test_a_head_in_parts_weighs() -> None:
    """What is collected of a head that goes on counts before it is whole."""
    far = Trunk(is_dialler=False)
    far.receive(frame(1, OPEN, bytes([1]) * 9000, FLAG_MORE))
    assert far.held_bytes == 9000


def test_a_frame_that_is_begun_has_a_number() -> None:
    """The same for as long as it is not whole, however it trickles in; another one for the next; none between."""
    far = Trunk(is_dialler=False)
    ping = frame(0, PING, bytes(8))
    assert far.begun == 0
    far.receive(ping[:3])
    first = far.begun
    assert first
    far.receive(ping[3:9])
    assert far.begun == first
    far.receive(ping[9:])
    assert far.begun == 0
    far.receive(ping[:9])
    second = far.begun
    assert second not in {0, first}
    far.receive(ping[9:] + ping + ping[:1])
    assert far.begun not in {0, first, second}


def test_a_head_in_parts_is_one_thing_begun() -> None:
    """Whole frames do not make a head whole: its number stays until its last one is here."""
    far = Trunk(is_dialler=False)
    payload = encode_request(b"GET", b"/a", BLOCK)
    pieces = [payload[at : at + 5] for at in range(0, len(payload), 5)]
    far.receive(frame(1, OPEN, pieces[0], FLAG_MORE))
    number = far.begun
    assert number
    for piece in pieces[1:-1]:
        data = frame(1, OPEN, piece, FLAG_MORE)
        for at in range(0, len(data), 3):
            far.receive(data[at : at + 3])
            assert far.begun == number
    assert isinstance(far.receive(frame(1, OPEN, pieces[-1], FLAG_END))[0], Opened)
    assert far.begun == 0


def test_trailers_that_are_held_are_bounded() -> None:
    """They count with the heads; what is over the bound resets its stream and nothing else."""
    trunk = Trunk(is_dialler=False, limits=TrunkLimits(max_held_head_bytes=20_000))
    block = encode_fields([(b"x", b"y" * 4000)])
    events: list[Event] = []
    for number in (1, 2, 3):
        events += trunk.receive(frame(number, OPEN, OPEN_PAYLOAD) + frame(number, TRAILERS, block))
    assert [type(event) for event in events] == [Opened, Ended, Opened, Ended, Opened, WasReset]
    assert isinstance(events[-1], WasReset)
    assert events[-1].code == Code.FLOOD
    assert trunk.error is None
    assert HEADER.pack(3, RESET, 0, 4) in trunk.out.take(65536)

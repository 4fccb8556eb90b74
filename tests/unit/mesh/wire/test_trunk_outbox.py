"""What a trunk sends: order, turns, windows, room; and what a peer that does not read may cost."""

import sys
from collections.abc import Iterator

import pytest

from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import MAX_INTERIM_HEADS, Failed, Stream, TrunkLimits
from mesh.wire.trunk_frames import (
    DATA,
    END,
    FLAG_ACK,
    FLAG_END,
    FLAG_MORE,
    HEAD,
    HEADER,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    OPEN,
    PING,
    PROTOCOL_TCP,
    RESET,
    STREAM_WINDOW_BYTES,
    TRAILERS,
    TRUNK_WINDOW_BYTES,
    U32,
    WINDOW,
    Code,
    encode_fields,
    encode_request,
)
from mesh.wire.trunk_outbox import Outbox

LIMITS = TrunkLimits()
TCP = bytes((PROTOCOL_TCP,))


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Stream, kind, flags and payload of each frame."""
    at = 0
    while at < len(data):
        stream_id, kind, flags, length = HEADER.unpack_from(data, at)
        yield stream_id, kind, flags, data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        at += HEADER_BYTES + length


def frame(stream_id: int, kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """One frame, as a peer may write it."""
    return HEADER.pack(stream_id, kind, flags, len(payload)) + payload


class Desk:
    """An outbox and the streams that ended in it."""

    def __init__(self, limits: TrunkLimits = LIMITS) -> None:
        self.ended: list[int] = []
        self.out = Outbox(limits, lambda stream: self.ended.append(stream.id))

    def all(self) -> list[tuple[int, int, int, bytes]]:
        """Every frame that may leave now."""
        found: list[tuple[int, int, int, bytes]] = []
        while data := self.out.take(1 << 16):
            found += frames(data)
        return found


def stream(number: int = 1) -> Stream:
    """A stream that is open."""
    return Stream(number, is_http=True)


def test_a_response_leaves_in_order_and_its_end_is_told_once() -> None:
    """Head, data, end: as they were queued; what is sent after the end is dropped."""
    desk, one = Desk(), stream()
    desk.out.send_head(one, 200, b"\0", end=False)
    desk.out.send_data(one, b"ab")
    desk.out.send_data(one, b"")
    desk.out.send_data(one, b"cd", end=True)
    desk.out.send_data(one, b"late")
    desk.out.send_end(one)
    desk.out.send_head(one, 500, b"\0", end=True)
    head, *rest = desk.all()
    assert head[:3] == (1, HEAD, 0)
    assert rest == [
        (1, DATA, 0, b"ab"),
        (1, DATA, FLAG_END, b"cd"),
    ]
    assert desk.ended == [1]


def test_bytes_are_copied_before_the_caller_overwrites_them() -> None:
    """A caller's receive buffer is its own again when the call returns, whether the data left or waits."""
    desk, one = Desk(), stream()
    one.send_window = 4
    buffer = bytearray(b"abcd")
    desk.out.send_data(one, memoryview(buffer))
    buffer[:] = b"efgh"
    desk.out.send_data(one, memoryview(buffer))
    buffer[:] = b"ijkl"
    desk.out.send_data(one, memoryview(buffer))
    buffer[:] = b"mnop"
    one.send_window = 8
    desk.out.make_ready(one)
    assert b"".join(payload for *_, payload in desk.all()) == b"abcdefghijkl"


def test_no_frame_is_larger_than_a_record_and_windows_are_kept() -> None:
    """Data is cut at the frame's bound, the stream's window and the trunk's; the rest waits."""
    desk, one = Desk(), stream()
    desk.out.send_data(one, bytes(3 * STREAM_WINDOW_BYTES))
    sent = desk.all()
    assert max(len(payload) for *_, payload in sent) == MAX_PAYLOAD_BYTES
    assert sum(len(payload) for *_, payload in sent) == STREAM_WINDOW_BYTES
    assert one.queued_bytes == 2 * STREAM_WINDOW_BYTES
    assert not desk.out.has_output
    one.send_window += 100
    desk.out.make_ready(one)
    assert [len(payload) for *_, payload in desk.all()] == [100]
    desk.out.send_window = 0
    one.send_window += 100
    desk.out.make_ready(one)
    assert not desk.out.has_output
    desk.out.send_window = 30
    assert [len(payload) for *_, payload in desk.all()] == [30]
    desk.out.send_window = 1000
    assert [len(payload) for *_, payload in desk.all()] == [70]


def test_an_end_and_trailers_wait_for_the_data_before_them() -> None:
    """Neither overtakes what waits for a window; the end is told when it leaves, not when it is asked for."""
    desk, one, two = Desk(), stream(1), stream(2)
    block = encode_fields([(b"grpc-status", b"0")])
    for each, trailers in ((one, None), (two, block)):
        each.send_window = 3
        desk.out.send_data(each, b"abcd")
        desk.out.send_end(each, trailers)
    assert [payload for *_, payload in desk.all()] == [b"abc", b"abc"]
    assert desk.ended == []
    for each in (one, two):
        each.send_window = 1
        desk.out.make_ready(each)
    assert desk.all() == [(1, DATA, FLAG_END, b"d"), (2, DATA, 0, b"d"), (2, TRAILERS, 0, block)]
    assert desk.ended == [1, 2]


def test_an_end_without_data_is_a_frame_of_its_own() -> None:
    """With nothing waiting END or TRAILERS leave at once."""
    desk, one = Desk(), stream()
    desk.out.send_end(one)
    assert desk.all() == [(1, END, 0, b"")]


def test_a_large_head_is_cut_into_frames_that_nothing_interrupts() -> None:
    """MORE on all but the last, in a row, also when an answer to PING waits."""
    desk, one = Desk(), stream()
    desk.out.pong = b"12345678"
    desk.out.send_head(one, 200, bytes(3 * MAX_PAYLOAD_BYTES), end=True)
    *heads, last, pong = desk.all()
    assert [(kind, flags, len(payload)) for _, kind, flags, payload in heads] == [
        (HEAD, FLAG_MORE, MAX_PAYLOAD_BYTES)
    ] * 3
    assert last[1:3] == (HEAD, FLAG_END)
    assert pong[1:3] == (PING, FLAG_ACK)


def test_a_forgotten_stream_sends_nothing_more_and_gives_its_bytes_back() -> None:
    """A reset stream's data is dropped and no longer counts against the others."""
    desk, one = Desk(TrunkLimits(trunk_queue_bytes=1000)), stream()
    one.send_window = 0
    desk.out.send_data(one, bytes(1000))
    before = desk.out.is_congested
    one.is_open = False
    desk.out.forget(one)
    assert (before, desk.out.is_congested) == (True, False)
    assert desk.all() == []


def test_senders_are_woken_once_when_there_is_room_and_closed_ones_are_let_go() -> None:
    """A stream that was told to wait is told to go on, once; one that closed meanwhile is not kept."""
    desk, one, gone = Desk(), stream(1), stream(2)
    for each in (one, gone):
        desk.out.send_data(each, bytes(2 * STREAM_WINDOW_BYTES))
        assert not desk.out.has_room(each)
        assert not desk.out.has_room(each)
    gone.is_open = False
    desk.out.forget(gone)
    desk.all()
    assert [each.id for each in desk.out.writable] == [2]
    desk.out.writable.clear()
    one.send_window += STREAM_WINDOW_BYTES
    desk.out.make_ready(one)
    desk.all()
    assert [each.id for each in desk.out.writable] == [1]


def test_small_pieces_that_wait_cost_little_more_than_their_bytes() -> None:
    """Bounds count bytes: a client that sends a body in chunks of one byte must not turn 64 KiB into 15 MiB."""
    desk, one = Desk(), stream()
    one.send_window = 0
    while desk.out.has_room(one):
        desk.out.send_data(one, b"x")
    held = sum(sys.getsizeof(piece) + sys.getsizeof(piece.obj) for piece in one.queue)
    assert held < 2 * LIMITS.stream_queue_bytes
    one.send_window = STREAM_WINDOW_BYTES
    desk.out.make_ready(one)
    assert b"".join(payload for *_, payload in desk.all()) == b"x" * LIMITS.stream_queue_bytes


@pytest.mark.parametrize("leaves", [False, True])
def test_a_peer_that_sends_and_never_reads_loses_the_trunk(leaves: bool) -> None:
    """What no window bounds (heads, refusals, grants) is bounded by the trunk itself; also after our GOAWAY."""
    trunk = Trunk(is_dialler=False, limits=TrunkLimits(max_unread_bytes=100_000))
    if leaves:
        trunk.leave(Code.DONE, "draining")
    most_bytes, code = 0, Code.DONE
    for number in range(1, 100_000):
        events = trunk.receive(frame(number, OPEN, TCP))
        if events and isinstance(events[-1], Failed):
            code = events[-1].error.code
            break
        for denied in tuple(trunk.streams.values()):
            trunk.reset(denied, Code.DENIED)
        most_bytes = max(most_bytes, trunk.out.unread_bytes)
    assert code is Code.FLOOD
    assert most_bytes < 101_000


def test_a_peer_that_reads_may_go_on_for_ever() -> None:
    """The same streams are served without end when the answers are taken."""
    trunk = Trunk(is_dialler=False, limits=TrunkLimits(max_unread_bytes=10_000))
    for number in range(1, 3000):
        trunk.receive(frame(number, OPEN, TCP) + frame(number, END))
        trunk.out.send_head(trunk.streams[number], 204, b"\0", end=True)
        trunk.out.take(1 << 16)
    assert trunk.error is None
    assert not trunk.streams


def test_a_stalled_trunk_takes_no_new_streams() -> None:
    """A local client that opens and drops streams must not pile up their frames where the peer does not read."""
    trunk = Trunk(is_dialler=True, limits=TrunkLimits(trunk_queue_bytes=50_000))
    for _ in range(10_000):
        if trunk.is_full:
            break
        trunk.reset(trunk.open_tcp(), Code.CANCELLED)
    assert 50_000 <= trunk.out.unread_bytes < 51_000
    assert trunk.is_full
    trunk.out.take(1 << 16)
    assert not trunk.is_full


def test_floods_of_ping_window_and_reset_leave_nothing_behind() -> None:
    """However many come, what waits to be written does not grow, and no stream is queued twice."""
    trunk = Trunk(is_dialler=False)
    trunk.receive(frame(1, OPEN, TCP))
    trunk.out.send_data(trunk.streams[1], bytes(2 * STREAM_WINDOW_BYTES))
    flood = (frame(0, PING, bytes(8)) + frame(1, WINDOW, U32.pack(1)) + frame(0, WINDOW, U32.pack(1))) * 5000
    assert trunk.receive(flood) == []
    data = trunk.out.take(1 << 30)
    assert [kind for _, kind, _, _ in frames(data) if kind != DATA] == [PING]
    assert sum(len(payload) for _, kind, _, payload in frames(data) if kind == DATA) == STREAM_WINDOW_BYTES + 5000
    trunk.receive(frame(1, RESET, bytes(4)))
    assert not trunk.streams
    assert not trunk.out.take(1 << 16)


def test_one_byte_frames_of_data_are_credited_without_a_frame_each() -> None:
    """Grants go out by halves of a window, so small frames from the peer cost few frames of ours."""
    trunk = Trunk(is_dialler=False)
    trunk.receive(frame(1, OPEN, TCP))
    one = trunk.streams[1]
    for _ in range(STREAM_WINDOW_BYTES // 1024):
        for _ in trunk.receive(frame(1, DATA, b"x") * 256):
            trunk.consumed(one, 1)
    assert len(list(frames(trunk.out.take(1 << 20)))) <= 2
    assert trunk.error is None


def test_the_trunks_window_bounds_what_all_streams_together_may_send() -> None:
    """A peer that fills every stream and is not read comes to an end after 1 MiB."""
    trunk = Trunk(is_dialler=False)
    trunk.receive(b"".join(frame(number, OPEN, TCP) for number in range(1, 101)))
    taken = 0
    for number in range(1, 101):
        for _ in range(STREAM_WINDOW_BYTES // 16_000):
            events = trunk.receive(frame(number, DATA, bytes(16_000)))
            if isinstance(events[-1], Failed):
                assert events[-1].error.code is Code.FLOW
                assert TRUNK_WINDOW_BYTES - 16_000 < taken <= TRUNK_WINDOW_BYTES
                return
            taken += 16_000
    pytest.fail("more than the trunk's window was taken")


def test_interim_responses_without_end_are_the_peers_error() -> None:
    """No window bounds heads: a peer that answers 103 for ever must not fill the buffer of a client that reads slowly."""
    far = Trunk(is_dialler=False)
    near = Trunk(is_dialler=True)
    near.open_http(encode_request(b"GET", b"/", encode_fields([(b"host", b"web")])), end=True)
    far.receive(near.out.take(1 << 16))
    for _ in range(MAX_INTERIM_HEADS):
        far.out.send_head(far.streams[1], 103, b"\0", end=False)
    assert len(near.receive(far.out.take(1 << 16))) == MAX_INTERIM_HEADS
    far.out.send_head(far.streams[1], 103, b"\0", end=False)
    [event] = near.receive(far.out.take(1 << 16))
    assert isinstance(event, Failed)
    assert event.error.code is Code.FLOOD

"""What one side of a trunk sends: frames ready to leave, what waits per stream for its windows, and its turn.

It must never hold a reference to bytes that its caller may overwrite, and never join what it can hand over in pieces twice.
"""

import struct
from collections import deque
from collections.abc import Callable

from mesh.wire.trunk_events import Bytes, Stream, TrunkLimits
from mesh.wire.trunk_frames import (
    DATA,
    END,
    FLAG_ACK,
    FLAG_BODY,
    FLAG_END,
    FLAG_MORE,
    HEAD,
    HEAD_START,
    HEADER,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    PING,
    TRAILERS,
    TRUNK_WINDOW_BYTES,
)

_JOINED_BYTES = 2048

FRAME_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES
_WHOLE = FLAG_END | FLAG_BODY
_ANSWER = struct.Struct("!IBBHHH")
"""A frame header and the start of a HEAD."""


class Outbox:
    """The sending half. `ended` is called with each stream whose side has ended here."""

    def __init__(self, limits: TrunkLimits, ended: Callable[[Stream], None]) -> None:
        self.limits = limits
        self.send_window = TRUNK_WINDOW_BYTES
        self.pong = b""
        self.writable: list[Stream] = []
        self._ended = ended
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0
        self._ready: deque[Stream] = deque()
        self._queued_bytes = 0
        self._waiting: list[Stream] = []

    def send_head(self, stream: Stream, status: int, block: bytes, *, end: bool) -> None:
        """Send a response's head; `end`: without a body."""
        if not stream.is_open or stream.end_sent:
            return
        self.frame(stream.id, HEAD, FLAG_END if end else 0, HEAD_START.pack(status, len(block)) + block)
        if end:
            self._end(stream)

    def send_answer(self, stream: Stream, status: int, block: bytes, body: Bytes) -> None:
        """Send a whole response with its `body`, in one frame if it fits."""
        size = 4 + len(block) + len(body)
        if size > MAX_PAYLOAD_BYTES or not body:
            self.send_head(stream, status, block, end=not body)
            if body:
                self.send_data(stream, body, end=True)
        elif stream.is_open and not stream.end_sent:
            self._out += (_ANSWER.pack(stream.id, HEAD, _WHOLE, size, status, len(block)), block, bytes(body))
            self._out_bytes += HEADER_BYTES + size
            stream.end_sent = True
            self._ended(stream)

    def send_data(self, stream: Stream, data: Bytes, *, end: bool = False) -> None:
        """Send bytes, at once or when the windows allow. `data` is not used after the call. On a closed stream it is dropped."""
        if not stream.is_open or stream.end_sent or stream.end_queued:
            return
        size = len(data)
        if (
            not stream.queue
            and size <= stream.send_window
            and size <= self.send_window
            and size <= MAX_PAYLOAD_BYTES
            and self._out_bytes < self.limits.stream_queue_bytes
        ):
            if size or end:
                stream.send_window -= size
                self.send_window -= size
                stream.moved_bytes += size
                self._out.append(HEADER.pack(stream.id, DATA, FLAG_END if end else 0, size))
                self._out.append(bytes(data))
                self._out_bytes += HEADER_BYTES + size
            if end:
                self._end(stream)
            return
        if size:
            queue = stream.queue
            if queue is None:
                queue = stream.queue = deque()
            if queue and len(queue[-1]) + size <= _JOINED_BYTES:
                # Many small pieces would take far more memory than their bytes, which are what is bounded.
                queue[-1] = memoryview(bytes(queue[-1]) + data)
            else:
                queue.append(memoryview(bytes(data)))
            stream.queued_bytes += size
            self._queued_bytes += size
        stream.end_queued = stream.end_queued or end
        self.make_ready(stream)

    def frame_in_place(self, stream: Stream, buffer: bytearray, size: int) -> int:
        """Frame `size` bytes of a stream where they lie: in `buffer`, each `FRAME_BYTES` with room for a header at its start.

        Only when `can_frame_in_place` says so. Returns how many bytes of `buffer` are to be written at once, before anything else.
        """
        stream.send_window -= size
        self.send_window -= size
        stream.moved_bytes += size
        at, left = 0, size
        while left > MAX_PAYLOAD_BYTES:
            HEADER.pack_into(buffer, at, stream.id, DATA, 0, MAX_PAYLOAD_BYTES)
            at += FRAME_BYTES
            left -= MAX_PAYLOAD_BYTES
        HEADER.pack_into(buffer, at, stream.id, DATA, 0, left)
        return at + HEADER_BYTES + left

    def can_frame_in_place(self, stream: Stream, size: int) -> bool:
        """Whether `size` bytes of the stream may leave now, with nothing before them."""
        return (
            size <= stream.send_window
            and size <= self.send_window
            and not (self._out or self._ready or self.pong or stream.queue or stream.end_sent or stream.end_queued)
            and stream.is_open
        )

    def send_end(self, stream: Stream, trailers: bytes | None = None) -> None:
        """End this side of the stream, after everything that waits; `trailers` is a field block."""
        if not stream.is_open or stream.end_sent or stream.end_queued:
            return
        stream.trailers = trailers
        if stream.queue:
            stream.end_queued = True
            self.make_ready(stream)
        else:
            self._frame_end(stream)

    def has_room(self, stream: Stream) -> bool:
        """Whether to go on sending. After a False the stream turns up in `writable` once there is room again."""
        if stream.queued_bytes < self.limits.stream_queue_bytes and not self.is_congested:
            return True
        if not stream.is_waiting and stream.is_open:
            stream.is_waiting = True
            self._waiting.append(stream)
        return False

    @property
    def unread_bytes(self) -> int:
        """Bytes of frames that no window holds back and that `take` was not asked for yet."""
        return self._out_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes that wait here, for windows or for the peer to read."""
        return self._queued_bytes + self._out_bytes

    @property
    def is_congested(self) -> bool:
        """Whether so much waits for this trunk that no stream should add to it."""
        return self._queued_bytes + self._out_bytes >= self.limits.trunk_queue_bytes

    @property
    def has_output(self) -> bool:
        """Whether `take` would return bytes now."""
        return bool(self._out or self.pong or (self._ready and self.send_window > 0))

    def take(self, at_least_bytes: int) -> bytes:
        """What to write next: frames of about `at_least_bytes` together, streams in turn; empty when nothing may be sent."""
        if self.pong:
            pong, self.pong = self.pong, b""
            self.frame(0, PING, FLAG_ACK, pong)
        ready = self._ready
        while ready and self._out_bytes < at_least_bytes and self.send_window > 0:
            stream = ready.popleft()
            stream.is_ready = False
            if stream.is_open:
                self._frame_queued(stream)
                self.make_ready(stream)
        out, self._out, self._out_bytes = self._out, [], 0
        if self._waiting:
            self._wake()
        return b"".join(out)

    def put(self, header: bytes, payload: bytes, size: int) -> None:
        """Queue a frame that is made already, of `size` bytes together."""
        self._out += (header, payload)
        self._out_bytes += size

    def frame(self, stream_id: int, kind: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        if size > MAX_PAYLOAD_BYTES:
            for at in range(0, size - MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES):
                self.frame(stream_id, kind, FLAG_MORE, payload[at : at + MAX_PAYLOAD_BYTES])
            payload = payload[(size - 1) // MAX_PAYLOAD_BYTES * MAX_PAYLOAD_BYTES :]
            size = len(payload)
        self._out += (HEADER.pack(stream_id, kind, flags, size), payload)
        self._out_bytes += HEADER_BYTES + size

    def forget(self, stream: Stream) -> None:
        """Drop what waits for a stream."""
        self._queued_bytes -= stream.queued_bytes
        stream.queued_bytes = 0
        stream.queue = None

    def clear(self) -> None:
        """Drop everything."""
        self._ready.clear()
        self._out.clear()
        self._out_bytes = 0
        self.pong = b""

    def make_ready(self, stream: Stream) -> None:
        waits = stream.send_window > 0 if stream.queue else stream.end_queued and not stream.end_sent
        if waits and stream.is_open and not stream.is_ready:
            stream.is_ready = True
            self._ready.append(stream)

    def _frame_queued(self, stream: Stream) -> None:
        """One DATA frame of what waits, as far as the windows go, and the end if it is the last."""
        room = min(MAX_PAYLOAD_BYTES, stream.send_window, self.send_window)
        queue: deque[memoryview] | tuple[()] = stream.queue or ()
        pieces: list[memoryview] = []
        size = 0
        while queue and size < room:
            piece = queue[0]
            if len(piece) <= room - size:
                queue.popleft()
            else:
                queue[0] = piece[room - size :]
                piece = piece[: room - size]
            pieces.append(piece)
            size += len(piece)
        is_last = stream.end_queued and not queue and stream.trailers is None
        if size:
            stream.send_window -= size
            self.send_window -= size
            stream.moved_bytes += size
            stream.queued_bytes -= size
            self._queued_bytes -= size
            self._out.append(HEADER.pack(stream.id, DATA, FLAG_END if is_last else 0, size))
            self._out += pieces
            self._out_bytes += HEADER_BYTES + size
        if is_last and size:
            self._end(stream)
        elif stream.end_queued and not queue:
            self._frame_end(stream)

    def _frame_end(self, stream: Stream) -> None:
        if stream.trailers is None:
            self.frame(stream.id, END, 0, b"")
        else:
            self.frame(stream.id, TRAILERS, 0, stream.trailers)
        self._end(stream)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for stream in waiting:
            if stream.is_open and (stream.queued_bytes >= self.limits.stream_queue_bytes or self.is_congested):
                self._waiting.append(stream)
            else:
                stream.is_waiting = False
                self.writable.append(stream)

    def _end(self, stream: Stream) -> None:
        stream.end_sent = True
        self._ended(stream)

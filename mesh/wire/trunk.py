"""The trunk as a machine: many streams over one ordered byte stream, with windows and bounds. Blind to sockets.

`receive` takes what came and returns events; `open_*`, `reset`, `consumed`, `leave` and `out.send_*` queue frames; `out.take` hands
out what is to be written. Any bytes give events or a `Failed` that says what the peer did: after it the machine is deaf, its last output
is a GOAWAY, and the connection is to be closed. Frame layout and codes: `mesh.wire.trunk_frames`.

Bounds, each with what happens when it is reached: a stream's and the trunk's window (more is the peer's error), streams
open at once (refused, then the peer's error), bytes of heads held (refused), resets without work done (the peer's error), answers that
the peer does not read (its error), one answer to PING at a time. What this side wants to send waits per stream and leaves in turn, a frame each; `out.has_room` tells
a sender when to stop.
"""

from collections.abc import Callable

from mesh.wire.trunk_events import (
    FIELD_COST_BYTES,
    STREAM_COST_BYTES,
    Bytes,
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
    count_interim,
)
from mesh.wire.trunk_frames import (
    FLAG_ACK,
    FLAG_BODY,
    FLAG_END,
    FLAG_MORE,
    GOAWAY,
    HEAD,
    HEAD_START,
    HEADER,
    HEADER_BYTES,
    MAX_HEAD_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_STREAM_ID,
    MAX_WINDOW_BYTES,
    OPEN,
    PING,
    PROTOCOL_HTTP,
    PROTOCOL_TCP,
    RESET,
    TRAILERS,
    TRUNK_WINDOW_BYTES,
    TWO_U32,
    U32,
    WINDOW,
    Code,
    TrunkError,
    decode_request,
)
from mesh.wire.trunk_outbox import Outbox

_HEAD_START_BYTES = HEAD_START.size
_HEAD_FLAGS = FLAG_END | FLAG_MORE | FLAG_BODY
_WHOLE = FLAG_END | FLAG_BODY
"""The flags of a head that is all in one frame."""


class Trunk:
    """One side of a trunk. `is_dialler`: this side opens streams, the other answers."""

    def __init__(self, *, is_dialler: bool, limits: TrunkLimits | None = None) -> None:
        self.limits = limits or TrunkLimits()
        self.is_dialler = is_dialler
        self.out = Outbox(self.limits, self._ended_sending)
        """What this side sends: heads, data and ends of streams go through it."""
        self.streams: dict[int, Stream] = {}
        self.error: TrunkError | None = None
        self.is_leaving = False
        """No stream may be opened any more: GOAWAY was sent or received, or the ids are used up."""
        self._rest = b""
        self._last_id = 0
        self._served_id = MAX_STREAM_ID
        self._receive_window = TRUNK_WINDOW_BYTES
        self._uncredited_bytes = 0
        self._held_bytes = 0
        self._part: tuple[int, int, bytearray] | None = None
        self._begun = 0
        self._finished = 0
        self._idle_resets = 0
        self._refused = 0

    # -- sending --

    def open_tcp(self) -> Stream:
        """Open a TCP stream.

        Raises:
            TrunkError: ours: the trunk takes no more streams (see `is_full`).
        """
        stream = self._new_stream(is_http=False)
        self.out.frame(stream.id, OPEN, 0, bytes((PROTOCOL_TCP,)))
        return stream

    def open_http(self, head: bytes, *, end: bool, body: bytes = b"") -> Stream:
        """Open an HTTP stream with a head from `encode_request` and the `body` that is there already; `end`: that is all of it.

        Raises:
            TrunkError: ours: the trunk takes no more streams, or the head does not fit.
        """
        size = len(head) + len(body)
        if size > MAX_PAYLOAD_BYTES:
            return self._open_large(head, end=end, body=body)
        stream = self._new_stream(is_http=True)
        flags = (FLAG_END if end else 0) | (FLAG_BODY if body else 0)
        self.out.put(HEADER.pack(stream.id, OPEN, flags, size), head + body if body else head, HEADER_BYTES + size)
        stream.end_sent = end
        return stream

    def _open_large(self, head: bytes, *, end: bool, body: bytes) -> Stream:
        """As `open_http` for what takes more than a frame."""
        if len(head) > MAX_HEAD_BYTES:
            raise TrunkError(Code.INTERNAL, "the head is over 64 KiB", is_peer=False)
        stream = self._new_stream(is_http=True)
        self.out.frame(stream.id, OPEN, FLAG_END if end and not body else 0, head)
        stream.end_sent = end and not body
        if body:
            self.out.send_data(stream, body, end=end)
        return stream

    @property
    def is_full(self) -> bool:
        """Whether no stream can be opened now."""
        # A peer that does not read gets no new streams: their heads would wait without bound.
        return self.is_leaving or len(self.streams) >= self.limits.max_streams or self.out.is_congested

    def reset(self, stream: Stream, code: Code) -> None:
        """End both sides now; what waits is dropped. On a closed stream nothing."""
        if stream.is_open:
            self.out.frame(stream.id, RESET, 0, U32.pack(code))
            self._drop(stream)

    def consumed(self, stream: Stream, size: int) -> None:
        """`size` bytes of `Data` were passed on: let the peer send as many more."""
        size = min(size, stream.unconsumed_bytes)
        stream.unconsumed_bytes -= size
        self._credit_trunk(size)
        if not stream.is_open or stream.end_received:
            return
        stream.uncredited_bytes += size
        if stream.uncredited_bytes * 2 >= stream.window_bytes:
            grant = stream.uncredited_bytes
            if stream.window_bytes < self.limits.stream_window_max_bytes:
                # A stream that uses up its window and is read at once gets a larger one; the trunk's bounds both.
                grant += stream.window_bytes
                stream.window_bytes *= 2
            stream.uncredited_bytes = 0
            stream.receive_window += grant
            self.out.frame(stream.id, WINDOW, 0, U32.pack(grant))

    def ping(self, data: bytes = bytes(8)) -> None:
        """Ask for a sign of life."""
        self.out.frame(0, PING, 0, data)

    def leave(self, code: Code = Code.DONE, text: str = "") -> None:
        """Say GOAWAY: streams opened by the peer from now on are refused, those that stand go on."""
        if not self.is_leaving or code is not Code.DONE:
            self.is_leaving = True
            self._served_id = min(self._served_id, self._last_id)
            self.out.frame(0, GOAWAY, 0, TWO_U32.pack(self._last_id, code) + text.encode()[:256])

    # -- receiving --

    def receive(self, data: Bytes) -> list[Event]:
        """What the peer's next bytes mean."""
        events: list[Event] = []
        if self.error is not None:
            return events
        if self._rest:
            data = self._rest + data
        size, at = len(data), 0
        unpack, handlers = HEADER.unpack_from, self._HANDLERS
        try:
            if self.out.unread_bytes > self.limits.max_unread_bytes:
                raise TrunkError(Code.FLOOD, "frames are sent, but the answers to them are not read")  # noqa: TRY301 - caught below, where every violation ends
            while size - at >= HEADER_BYTES:
                stream_id, kind, flags, length = unpack(data, at)
                if length > MAX_PAYLOAD_BYTES or not OPEN <= kind <= GOAWAY:
                    raise TrunkError(Code.PROTOCOL, f"frame of kind {kind} with {length} bytes")  # noqa: TRY301 - caught below, where every violation ends
                start = at + HEADER_BYTES
                end = start + length
                if end > size:
                    break
                if self._part is not None and self._part[:2] != (stream_id, kind):
                    raise TrunkError(Code.PROTOCOL, "a head was interrupted by another frame")  # noqa: TRY301 - as above
                handlers[kind - OPEN](self, stream_id, flags, data[start:end], events)
                at = end
        except TrunkError as error:
            self.fail(error)
            events.append(Failed(error))
            return events
        self._rest = self._keep(data, at) if at < size else b""
        return events

    def _keep(self, data: Bytes, at: int) -> bytes:
        """The part of a frame that waits for the rest of it."""
        if (at or not self._rest) and self._part is None:
            self._begun += 1
        return bytes(data[at:])

    @property
    def begun(self) -> int:
        """0 when the peer has ended every frame and head that it began; else a number that is another one for the next of them."""
        return self._begun if self._rest or self._part is not None else 0

    @property
    def held_bytes(self) -> int:
        """Bytes that are held because of the peer: streams, heads, data not passed on, parts of frames, what it does not read."""
        data = TRUNK_WINDOW_BYTES - self._receive_window - self._uncredited_bytes
        part = len(self._part[2]) if self._part is not None else 0
        streams = STREAM_COST_BYTES * len(self.streams)
        return streams + self._held_bytes + data + len(self._rest) + part + self.out.held_bytes

    def fail(self, error: TrunkError) -> None:
        """End the trunk for `error`: nothing but a GOAWAY goes out any more."""
        if self.error is not None:
            return
        self.error = error
        for stream in self.streams.values():
            stream.is_open = False
        self.out.clear()
        self.leave(error.code, error.reason)

    def _on_open(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        if self.is_dialler:
            raise TrunkError(Code.PROTOCOL, "only the side that dialled opens streams")
        if self._part is None and stream_id != self._last_id + 1:
            raise TrunkError(Code.PROTOCOL, f"stream {stream_id} opened after {self._last_id}")
        whole = (
            self._join(stream_id, OPEN, flags, payload) if self._part is not None or flags & ~_WHOLE else bytes(payload)
        )
        if whole is None:
            return
        self._last_id = stream_id
        body = b""
        if not whole or whole[0] > PROTOCOL_HTTP or (whole[0] == PROTOCOL_TCP and (len(whole) > 1 or flags & FLAG_END)):
            raise TrunkError(Code.PROTOCOL, "an OPEN of no known protocol")
        request, held_bytes = None, 0
        if whole[0] == PROTOCOL_HTTP:
            request, body = decode_request(whole)
            # Its count byte bounds the fields; a block shorter than that fails when it is decoded.
            # Twice: its owner holds a head as fields and as the lines that it wrote of them.
            held_bytes = 2 * len(whole) + FIELD_COST_BYTES * request.block[0]
        if bool(body) is not bool(flags & FLAG_BODY):
            raise TrunkError(Code.PROTOCOL, "an OPEN whose body is not what its flags say")
        if stream_id > self._served_id:
            self.out.frame(stream_id, RESET, 0, U32.pack(Code.REFUSED))
            return
        full = len(self.streams) >= self.limits.max_streams
        if full or self._held_bytes + held_bytes > self.limits.max_held_head_bytes:
            self._refuse(stream_id)
            return
        stream = self.streams[stream_id] = Stream(stream_id, request is not None)
        stream.held_bytes = held_bytes
        stream.head_received = True
        self._held_bytes += held_bytes
        end = bool(flags & FLAG_END)
        stream.end_received = end
        events.append(Opened(stream, request, end, body))

    def _on_head(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        if not self.is_dialler:
            raise TrunkError(Code.PROTOCOL, "only the side that serves sends response heads")
        stream = self.streams.get(stream_id)
        if stream is None or stream.end_received:
            stream = self._receiving(stream_id)
        whole = (
            self._join(stream_id, HEAD, flags, payload) if self._part is not None or flags & ~_WHOLE else bytes(payload)
        )
        if whole is None or stream is None:
            return
        if len(whole) < _HEAD_START_BYTES or not stream.is_http or stream.head_received:
            raise TrunkError(Code.PROTOCOL, "a response head out of place")
        status, block_bytes = HEAD_START.unpack_from(whole)
        body_at = _HEAD_START_BYTES + block_bytes
        if not block_bytes or len(whole) < body_at or (len(whole) > body_at) is not bool(flags & FLAG_BODY):
            raise TrunkError(Code.PROTOCOL, "a response head whose lengths are not those of its content")
        end = bool(flags & FLAG_END)
        stream.head_received = status >= 200 or status == 101
        if not stream.head_received:
            count_interim(stream, flags)
        events.append(Headed(stream, status, whole[_HEAD_START_BYTES:body_at], end, whole[body_at:]))
        if end:
            stream.end_received = True
            if stream.end_sent:
                self._finished += 1
                self._release(stream)

    def _on_data(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise TrunkError(Code.FLOW, "more bytes than the trunk's window")
        stream = self.streams.get(stream_id)
        if stream is None or stream.end_received:
            self._receiving(stream_id)  # raises unless the stream was closed from here
            self._credit_trunk(size)
            return
        end = bool(flags & FLAG_END)
        if not (size or end):
            raise TrunkError(Code.PROTOCOL, "an empty DATA frame that ends nothing")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise TrunkError(Code.FLOW, f"more bytes than the window of stream {stream_id}")
        if stream.is_http and not stream.head_received:
            raise TrunkError(Code.PROTOCOL, "a body before its head")
        stream.unconsumed_bytes += size
        stream.moved_bytes += size
        events.append(Data(stream, payload, end))
        if end:
            self._ended_receiving(stream)

    def _on_trailers(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        stream = self._receiving(stream_id)
        whole = self._join(stream_id, TRAILERS, flags, payload)
        if whole is None or stream is None:
            return
        if not (stream.is_http and stream.head_received and whole):
            raise TrunkError(Code.PROTOCOL, "trailers out of place")
        if not self.is_dialler:
            # The application may not be reached yet: they are held like a head.
            held_bytes = 2 * len(whole) + FIELD_COST_BYTES * whole[0]
            if self._held_bytes + held_bytes > self.limits.max_held_head_bytes:
                self.reset(stream, Code.FLOOD)
                events.append(WasReset(stream, Code.FLOOD))
                return
            stream.held_bytes += held_bytes
            self._held_bytes += held_bytes
        events.append(Ended(stream, whole))
        self._ended_receiving(stream)

    def _on_end(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        stream = self._receiving(stream_id)
        if payload or flags:
            raise TrunkError(Code.PROTOCOL, "an END that carries something")
        if stream is None:
            return
        if not (stream.head_received or not stream.is_http):
            raise TrunkError(Code.PROTOCOL, "an end before the head")
        events.append(Ended(stream))
        self._ended_receiving(stream)

    def _on_reset(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        if len(payload) != U32.size or flags:
            raise TrunkError(Code.PROTOCOL, "a RESET that is no code")
        self._check_known(stream_id)
        stream = self.streams.get(stream_id)
        if not self.is_dialler:
            self._idle_resets += 1
            if self._idle_resets > self.limits.max_idle_resets + self._finished:
                raise TrunkError(Code.FLOOD, "streams are opened and reset faster than any is finished")
        if stream is not None:
            self._drop(stream)
            events.append(WasReset(stream, U32.unpack(payload)[0]))

    def _on_window(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        del events
        grant = U32.unpack(payload)[0] if len(payload) == U32.size and not flags else 0
        if not grant:
            raise TrunkError(Code.PROTOCOL, "a WINDOW that opens nothing")
        if stream_id == 0:
            self.out.send_window += grant
            window = self.out.send_window
        else:
            self._check_known(stream_id)
            stream = self.streams.get(stream_id)
            if stream is None:
                return
            stream.send_window += grant
            window = stream.send_window
            self.out.make_ready(stream)
        if window > MAX_WINDOW_BYTES:
            raise TrunkError(Code.FLOW, "a window over 2 GiB")

    def _on_ping(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        del events
        if stream_id or len(payload) != 8 or flags > FLAG_ACK:
            raise TrunkError(Code.PROTOCOL, "a malformed PING")
        if not flags:
            # One answer at a time: a later PING replaces an answer that could not leave yet.
            self.out.pong = bytes(payload)

    def _on_goaway(self, stream_id: int, flags: int, payload: Bytes, events: list[Event]) -> None:
        if stream_id or flags or len(payload) < TWO_U32.size:
            raise TrunkError(Code.PROTOCOL, "a malformed GOAWAY")
        last_id, code = TWO_U32.unpack_from(payload)
        self.is_leaving = True
        if self.is_dialler:
            for stream in [stream for stream in self.streams.values() if stream.id > last_id]:
                self._drop(stream)
                events.append(WasReset(stream, Code.REFUSED))
        events.append(GoneAway(code, bytes(payload[TWO_U32.size :])[:256].decode("utf-8", "replace")))

    _HANDLERS: tuple[Callable[["Trunk", int, int, Bytes, list[Event]], None], ...] = (
        _on_open,
        _on_head,
        _on_data,
        _on_trailers,
        _on_end,
        _on_reset,
        _on_window,
        _on_ping,
        _on_goaway,
    )

    # -- streams --

    def _new_stream(self, *, is_http: bool) -> Stream:
        if self.is_leaving or len(self.streams) >= self.limits.max_streams or not self.is_dialler:
            raise TrunkError(Code.INTERNAL, "a stream was opened on a trunk that takes none", is_peer=False)
        self._last_id += 1
        if self._last_id == MAX_STREAM_ID:
            self.is_leaving = True
        stream = self.streams[self._last_id] = Stream(self._last_id, is_http)
        return stream

    def _check_known(self, stream_id: int) -> None:
        if not 0 < stream_id <= self._last_id:
            raise TrunkError(Code.PROTOCOL, f"stream {stream_id} was never opened")

    def _receiving(self, stream_id: int) -> Stream | None:
        """The stream if it still receives, None if it is closed here already."""
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id)
        elif stream.end_received:
            raise TrunkError(Code.PROTOCOL, f"stream {stream_id} goes on after its end")
        return stream

    def _refuse(self, stream_id: int) -> None:
        self._refused += 1
        if self._refused > self.limits.max_streams:
            raise TrunkError(Code.FLOOD, "streams are opened over the limit again and again")
        self.out.frame(stream_id, RESET, 0, U32.pack(Code.REFUSED))

    def _ended_sending(self, stream: Stream) -> None:
        if stream.end_received:
            self._finished += 1
            self._release(stream)

    def _ended_receiving(self, stream: Stream) -> None:
        stream.end_received = True
        if stream.end_sent:
            self._finished += 1
            self._release(stream)

    def _drop(self, stream: Stream) -> None:
        self._credit_trunk(stream.unconsumed_bytes)
        stream.unconsumed_bytes = 0
        self._release(stream)

    def _release(self, stream: Stream) -> None:
        stream.is_open = False
        self.streams.pop(stream.id, None)
        self._held_bytes -= stream.held_bytes
        if stream.queue is not None:
            self.out.forget(stream)

    # -- frames --

    def _join(self, stream_id: int, kind: int, flags: int, payload: Bytes) -> bytes | None:
        """The whole head once its last frame is here."""
        if flags & ~_HEAD_FLAGS or (
            flags & FLAG_BODY and (kind == TRAILERS or flags & FLAG_MORE or self._part is not None)
        ):
            raise TrunkError(Code.PROTOCOL, "unknown or misplaced flags on a head")
        more = flags & FLAG_MORE
        if self._part is None:
            if not more:
                return bytes(payload)
            self._part = (stream_id, kind, bytearray())
            self._begun += 1
        collected = self._part[2]
        collected += payload
        if len(collected) > MAX_HEAD_BYTES or (more and not payload):
            raise TrunkError(Code.PROTOCOL, "a head over 64 KiB, or a part of one without content")
        if more:
            return None
        self._part = None
        return bytes(collected)

    def _credit_trunk(self, size: int) -> None:
        self._uncredited_bytes += size
        if self._uncredited_bytes * 2 >= TRUNK_WINDOW_BYTES:
            grant, self._uncredited_bytes = self._uncredited_bytes, 0
            self._receive_window += grant
            self.out.frame(0, WINDOW, 0, U32.pack(grant))

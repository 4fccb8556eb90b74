"""What a trunk holds and says: its limits, its streams and its events."""

from collections import deque
from typing import Any

import msgspec

from mesh.wire.trunk_frames import STREAM_WINDOW_BYTES, OpenedRequest, TrunkError

Bytes = bytes | bytearray | memoryview
"""What bytes may come in."""


class TrunkLimits(msgspec.Struct, frozen=True):
    """Bounds of this side. `stream_window_max_bytes` is how far the window of a busy stream is opened."""

    max_streams: int = 1024
    max_held_head_bytes: int = 4 * 1024 * 1024
    stream_window_max_bytes: int = 512 * 1024
    max_idle_resets: int = 1000
    stream_queue_bytes: int = 64 * 1024
    trunk_queue_bytes: int = 1024 * 1024
    max_unread_bytes: int = 4 * 1024 * 1024


MAX_INTERIM_HEADS = 16
"""Interim responses to one request; no window holds them back, so more are the peer's error."""

FIELD_COST_BYTES = 128
"""What a field costs in memory besides its bytes; counted when heads are held."""


class Stream:
    """One stream, as its trunk knows it. `owner` is the user's."""

    __slots__ = (
        "end_queued",
        "end_received",
        "end_sent",
        "head_received",
        "held_bytes",
        "id",
        "interim_heads",
        "is_http",
        "is_open",
        "is_ready",
        "is_waiting",
        "moved_bytes",
        "owner",
        "queue",
        "queued_bytes",
        "receive_window",
        "send_window",
        "trailers",
        "unconsumed_bytes",
        "uncredited_bytes",
        "window_bytes",
    )

    def __init__(self, stream_id: int, *, is_http: bool) -> None:
        self.id = stream_id
        self.is_http = is_http
        self.is_open = True
        self.owner: Any = None
        self.send_window = STREAM_WINDOW_BYTES
        self.receive_window = STREAM_WINDOW_BYTES
        self.window_bytes = STREAM_WINDOW_BYTES
        self.unconsumed_bytes = 0
        self.uncredited_bytes = 0
        self.moved_bytes = 0
        self.queue: deque[memoryview] = deque()
        self.queued_bytes = 0
        self.trailers: bytes | None = None
        self.end_queued = False
        self.end_sent = False
        self.end_received = False
        self.head_received = False
        self.interim_heads = 0
        self.is_ready = False
        self.is_waiting = False
        self.held_bytes = 0

    def __repr__(self) -> str:
        return f"Stream({self.id}, {'http' if self.is_http else 'tcp'})"


class Opened(msgspec.Struct, gc=False):
    """The peer opened a stream; `request` is None for TCP. `body` came with the head; it is outside the windows."""

    stream: Stream
    request: OpenedRequest | None
    end: bool
    body: bytes = b""


class Headed(msgspec.Struct, gc=False):
    """A response's head: status unchecked, its fields as a block. `body` came with it; it is outside the windows."""

    stream: Stream
    status: int
    block: bytes
    end: bool
    body: bytes = b""


class Data(msgspec.Struct, gc=False):
    """Bytes of a stream. `data` may be a view that is valid only until the caller of `receive` returns: use it or copy it.

    Say `consumed` once they are passed on.
    """

    stream: Stream
    data: Bytes
    end: bool


class Ended(msgspec.Struct, gc=False):
    """The peer's side of the stream ended; `block` holds trailers, empty for none."""

    stream: Stream
    block: bytes = b""


class WasReset(msgspec.Struct, gc=False):
    """Both sides of the stream ended at once."""

    stream: Stream
    code: int


class GoneAway(msgspec.Struct, gc=False):
    """The peer serves no stream opened from now on; those it will not serve were reset with REFUSED just before."""

    code: int
    text: str


class Failed(msgspec.Struct, gc=False):
    """The last event of a trunk."""

    error: TrunkError


Event = Opened | Headed | Data | Ended | WasReset | GoneAway | Failed

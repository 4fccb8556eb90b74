"""What a trunk holds and says: its limits, its streams and its events."""

from collections import deque
from typing import Any

import msgspec

from mesh.wire.trunk_frames import FLAG_BODY, FLAG_END, STREAM_WINDOW_BYTES, Code, OpenedRequest, TrunkError

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


STREAM_COST_BYTES = 2048
"""What an open stream costs in memory with its owner, besides its head."""


class Stream(msgspec.Struct, eq=False):
    """One stream, as its trunk knows it. `owner` is the user's; after its end the stream is not `is_open`."""

    id: int
    is_http: bool
    owner: Any = None
    is_open: bool = True
    send_window: int = STREAM_WINDOW_BYTES
    receive_window: int = STREAM_WINDOW_BYTES
    window_bytes: int = STREAM_WINDOW_BYTES
    unconsumed_bytes: int = 0
    uncredited_bytes: int = 0
    moved_bytes: int = 0
    queue: deque[memoryview] | None = None
    """What waits for the windows; None as long as nothing ever did."""
    queued_bytes: int = 0
    trailers: bytes | None = None
    end_queued: bool = False
    end_sent: bool = False
    end_received: bool = False
    head_received: bool = False
    interim_heads: int = 0
    is_ready: bool = False
    is_waiting: bool = False
    held_bytes: int = 0

    def __repr__(self) -> str:
        return f"Stream({self.id}, {'http' if self.is_http else 'tcp'})"


def count_interim(stream: Stream, flags: int) -> None:
    """Bound the interim responses of a stream.

    Raises:
        TrunkError: there are too many, or one has a body or an end, which none has.
    """
    stream.interim_heads += 1
    if stream.interim_heads > MAX_INTERIM_HEADS:
        raise TrunkError(Code.FLOOD, "interim responses without end")
    if flags & (FLAG_END | FLAG_BODY):
        raise TrunkError(Code.PROTOCOL, "an interim response has neither body nor end")


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

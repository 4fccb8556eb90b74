"""The trunk's frames, ALPN `linkspan-trunk/1`: layout, bounds, codes, and how heads are written.

A frame is an 8 byte header and a payload: stream u32, kind u8, flags u8, length u16, big-endian. The side that dialled
opens streams, numbered 1, 2, 3, ... in order. Stream 0 is the trunk itself (WINDOW, PING, GOAWAY).

| kind | payload |
|---|---|
| OPEN | u8 protocol (0 TCP, 1 HTTP); for HTTP then u32 time left in ms (0: no end), u8, u16, u8, u16 lengths of method, target, traceparent and field block, and these four |
| HEAD | u16 status, u16 length of the field block, the field block |
| DATA | bytes |
| TRAILERS | field block; ends its side of the stream |
| END | none; ends its side of the stream |
| RESET | u32 code; ends both sides |
| WINDOW | u32 bytes that may be sent more |
| PING | 8 bytes; with flag ACK the answer |
| GOAWAY | u32 last stream that is served, u32 code, UTF-8 text for the log |

Flag END on OPEN, HEAD and DATA ends the sender's side. Flag BODY on OPEN and HEAD: the first of the body (or all of it) follows the
field block in the same frame; it is outside the windows, being bounded by the frame. Flag MORE on OPEN, HEAD and TRAILERS: the payload goes on in the next
frame, which must be of the same stream and kind. A field block is u8 count, a u16 length for each name and value, then
the names and values: nothing in a head is found by looking for a delimiter, so there is nothing to smuggle.

The windows that both sides start with are part of the protocol: 64 KiB for a stream, 1 MiB for the trunk.
"""

import enum
import struct
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import msgspec

Fields = Sequence[tuple[bytes, bytes]]

ALPN = "linkspan-trunk/1"

HEADER = struct.Struct("!IBBH")
HEADER_BYTES = HEADER.size
MAX_PAYLOAD_BYTES = 16 * 1024 - HEADER_BYTES
"""A full frame is one full TLS record."""
MAX_HEAD_BYTES = 64 * 1024
MAX_TRACE_BYTES = 255
STREAM_WINDOW_BYTES = 64 * 1024
TRUNK_WINDOW_BYTES = 1024 * 1024
MAX_WINDOW_BYTES = 2**31 - 1
MAX_STREAM_ID = 2**32 - 1
MAX_TIMEOUT_MS = 2**32 - 1

OPEN, HEAD, DATA, TRAILERS, END, RESET, WINDOW, PING, GOAWAY = range(1, 10)

FLAG_END = 1
FLAG_MORE = 2
FLAG_BODY = 4
FLAG_ACK = 1

PROTOCOL_TCP = 0
PROTOCOL_HTTP = 1

U16 = struct.Struct("!H")
U32 = struct.Struct("!I")
TWO_U32 = struct.Struct("!II")
HEAD_START = struct.Struct("!HH")
_OPEN_HTTP = struct.Struct("!BIBHBH")
_OPEN_BYTES = _OPEN_HTTP.size
_MAX_FIELDS = 255
_LENGTHS = tuple(struct.Struct(f"!{2 * count}H") for count in range(_MAX_FIELDS + 1))


class Code(enum.IntEnum):
    """Why a stream was reset or a trunk left."""

    DONE = 0
    """No error: the trunk is replaced or its process ends."""
    REFUSED = 1
    """Not begun: it may be sent again elsewhere."""
    CANCELLED = 2
    """The sender needs it no more."""
    DENIED = 3
    """Policy says no, or says no now."""
    UNREACHABLE = 4
    """The application could not be reached; nothing was sent to it."""
    BROKEN = 5
    """The application's connection broke before the end."""
    TIMEOUT = 6
    """It took longer than allowed."""
    PROTOCOL = 7
    """The other side broke the protocol."""
    FLOW = 8
    """More was sent than the window allowed."""
    FLOOD = 9
    """Too many streams opened or reset."""
    INTERNAL = 10
    """An error of the side that says so."""


class TrunkError(Exception):
    """The trunk cannot go on. `is_peer` says whose fault it is; `code` goes into the GOAWAY."""

    def __init__(self, code: Code, reason: str, *, is_peer: bool = True) -> None:
        super().__init__(f"{'the peer' if is_peer else 'this side'} broke the trunk: {reason}")
        self.code = code
        self.reason = reason
        self.is_peer = is_peer


class OpenedRequest(msgspec.Struct, frozen=True, gc=False):
    """The head of an HTTP stream as its OPEN carries it: `block` is the encoded field block, not yet looked into."""

    method: bytes
    target: bytes
    block: bytes
    trace: bytes = b""
    timeout_ms: int = 0


def encode_fields(fields: Fields) -> bytes:
    """Write a field block.

    Raises:
        TrunkError: ours: more than 255 fields, or one over 64 KiB (validation comes before).
    """
    if not fields:
        return b"\0"
    try:
        parts = tuple(chain.from_iterable(fields))
        return b"%c%b%b" % (len(fields), _LENGTHS[len(fields)].pack(*map(len, parts)), b"".join(parts))
    except (IndexError, struct.error) as error:
        raise TrunkError(Code.INTERNAL, "the head does not fit a field block", is_peer=False) from error


def decode_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Read a field block. What the names and values hold is not looked at: that is `mesh.wire.head`.

    Raises:
        TrunkError: its lengths are not those of its content.
    """
    if not block:
        raise TrunkError(Code.PROTOCOL, "an empty field block")
    count = block[0]
    lengths = _LENGTHS[count]
    start = 1 + lengths.size
    if len(block) < start:
        raise TrunkError(Code.PROTOCOL, "a field block shorter than its lengths")
    bounds = tuple(accumulate(lengths.unpack_from(block, 1), initial=start))
    if bounds[-1] != len(block):
        raise TrunkError(Code.PROTOCOL, "the lengths of a field block are not those of its content")
    parts = iter([block[begin:end] for begin, end in pairwise(bounds)])
    return list(zip(parts, parts, strict=True))


def encode_request(method: bytes, target: bytes, block: bytes, trace: bytes = b"", timeout_ms: int = 0) -> bytes:
    """The payload of an OPEN for HTTP; `block` from `encode_fields`.

    Raises:
        TrunkError: ours: a part is too long for its length.
    """
    try:
        lengths = _OPEN_HTTP.pack(PROTOCOL_HTTP, timeout_ms, len(method), len(target), len(trace), len(block))
    except struct.error as error:
        raise TrunkError(Code.INTERNAL, "the request's head does not fit an OPEN", is_peer=False) from error
    return b"%b%b%b%b%b" % (lengths, method, target, trace, block)


def decode_request(payload: bytes) -> tuple[OpenedRequest, bytes]:
    """Read the payload of an OPEN for HTTP: the head, and what follows it.

    Raises:
        TrunkError: it is shorter than its lengths say.
    """
    if len(payload) < _OPEN_BYTES:
        raise TrunkError(Code.PROTOCOL, "an OPEN shorter than its lengths")
    _, timeout_ms, method_bytes, target_bytes, trace_bytes, block_bytes = _OPEN_HTTP.unpack_from(payload)
    target_at = _OPEN_BYTES + method_bytes
    trace_at = target_at + target_bytes
    block_at = trace_at + trace_bytes
    body_at = block_at + block_bytes
    if len(payload) < body_at or not block_bytes:
        raise TrunkError(Code.PROTOCOL, "an OPEN shorter than its lengths")
    request = OpenedRequest(
        payload[_OPEN_BYTES:target_at],
        payload[target_at:trace_at],
        payload[block_at:body_at],
        payload[trace_at:block_at],
        timeout_ms,
    )
    return request, payload[body_at:]

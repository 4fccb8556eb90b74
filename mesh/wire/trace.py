"""W3C trace context: read, passed on, or begun (https://www.w3.org/TR/trace-context/, version 00).

Randomness is the caller's. Other systems' fields (b3, uber-trace-id) are never touched.
"""

import re
from collections.abc import Callable

import msgspec

from mesh.wire.fields import Fields

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
_MAX_TRACEPARENT_BYTES = 512
# A later version may append fields after a dash; version 00 may not, and ff is invalid.
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Trace(msgspec.Struct, frozen=True):
    """A trace as it travels: ids in lower-case hexadecimal, `flags` with bit 0 for sampled."""

    trace_id: str
    parent_id: str
    flags: int = 0

    def field(self) -> tuple[bytes, bytes]:
        """The `traceparent` field."""
        return TRACEPARENT, f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}".encode()


def parse_traceparent(value: bytes) -> Trace | None:
    """Read one `traceparent`; None when it is malformed, which the standard treats as absent."""
    if len(value) > _MAX_TRACEPARENT_BYTES:
        return None
    match = _PARENT.fullmatch(value)
    if match is None or (match[1] == b"00" and match[5] is not None):
        return None
    return Trace(match[2].decode(), match[3].decode(), int(match[4], 16))


def propagate(fields: Fields, draw_bits: Callable[[int], int]) -> tuple[list[tuple[bytes, bytes]], str]:
    """The fields to send on and the trace id for the log.

    A valid single `traceparent` keeps its trace id and flags and gets a new parent id; otherwise a new trace begins,
    unsampled, and a `tracestate` without a valid parent is dropped. `fields` have lower-case names. `draw_bits(n)` gives a random integer
    below 2**n (`random.getrandbits`).
    """
    found = [value for name, value in fields if name == TRACEPARENT]
    if not found:
        trace = Trace(f"{draw_bits(128) or 1:032x}", f"{draw_bits(64) or 1:016x}")
        kept = [field for field in fields if field[0] != TRACESTATE]
        kept.append(trace.field())
        return kept, trace.trace_id
    incoming = parse_traceparent(found[0]) if len(found) == 1 else None
    if incoming is None:
        rest = [field for field in fields if field[0] not in {TRACEPARENT, TRACESTATE}]
        trace = Trace(f"{draw_bits(128) or 1:032x}", f"{draw_bits(64) or 1:016x}")
    else:
        rest = [field for field in fields if field[0] != TRACEPARENT]
        # Version 00 knows the sampled bit only; the others are cleared, as the standard asks.
        trace = Trace(incoming.trace_id, f"{draw_bits(64) or 1:016x}", incoming.flags & 1)
    rest.append(trace.field())
    return rest, trace.trace_id

"""W3C trace context: read, passed on, or begun (https://www.w3.org/TR/trace-context/, version 00).

Randomness is the caller's. Other systems' fields (b3, uber-trace-id) are never touched.
"""

import re
from collections.abc import Callable

import msgspec

from mesh.wire.fields import Fields

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
_OURS = frozenset((TRACEPARENT, TRACESTATE))
_MAX_TRACEPARENT_BYTES = 512
_BEGUN = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# A later version may append fields after a dash; version 00 may not, and ff is invalid.
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Trace(msgspec.Struct, frozen=True):
    """A trace as it travels: ids in lower-case hexadecimal, `flags` with bit 0 for sampled."""

    trace_id: str
    parent_id: str
    flags: int = 0


def parse_traceparent(value: bytes) -> Trace | None:
    """Read one `traceparent`; None when it is malformed, which the standard treats as absent."""
    match = _match(value)
    return None if match is None else Trace(match[2].decode(), match[3].decode(), int(match[4], 16))


def is_begun_trace(value: bytes) -> bool:
    """Whether this is a `traceparent` as our proxies begin one: nothing but hexadecimal digits and dashes."""
    return _BEGUN.fullmatch(value) is not None


def trace_id_of(fields: Fields) -> str:
    """The trace id for the log where a head is passed on as it stands; empty without a single valid `traceparent`."""
    values = [value for name, value in fields if name == TRACEPARENT]
    trace = parse_traceparent(values[0]) if len(values) == 1 else None
    return trace.trace_id if trace is not None else ""


def propagate(fields: Fields, draw_bits: Callable[[int], int]) -> tuple[list[tuple[bytes, bytes]], str]:
    """The fields to send on and the trace id for the log.

    A valid single `traceparent` keeps its trace id and flags and gets a new parent id; otherwise a new trace begins,
    unsampled, and a `tracestate` without a valid parent is dropped. `fields` have lower-case names. `draw_bits(n)`
    gives a random integer below 2**n (`random.getrandbits`).
    """
    found = [field for field in fields if field[0] in _OURS]
    if not found:
        value = _begin(draw_bits)
        return [*fields, (TRACEPARENT, value)], value[3:35].decode()
    parents = [value for name, value in found if name == TRACEPARENT]
    match = _match(parents[0]) if len(parents) == 1 else None
    if match is None:
        kept = [field for field in fields if field[0] not in _OURS]
        value = _begin(draw_bits)
    else:
        kept = [field for field in fields if field[0] != TRACEPARENT]
        # Version 00 knows the sampled bit only; the others are cleared, as the standard asks.
        value = b"00-%b-%016x-%02x" % (match[2], draw_bits(64) or 1, int(match[4], 16) & 1)
    kept.append((TRACEPARENT, value))
    return kept, value[3:35].decode()


def _begin(draw_bits: Callable[[int], int]) -> bytes:
    return b"00-%032x-%016x-00" % (draw_bits(128) or 1, draw_bits(64) or 1)


def _match(value: bytes) -> re.Match[bytes] | None:
    match = _PARENT.fullmatch(value) if len(value) <= _MAX_TRACEPARENT_BYTES else None
    return None if match is None or (match[5] is not None and match[1] == b"00") else match

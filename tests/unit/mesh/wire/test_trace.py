"""Trace context: kept, begun, never mixed up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.wire.fields import Fields
from mesh.wire.trace import Trace, is_begun_trace, parse_traceparent, propagate, trace_id_of

ID, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
VALID = b"00-" + ID + b"-" + PARENT + b"-01"


def bits(count: int) -> int:
    return (1 << count) - 1


@pytest.mark.parametrize(
    ("value", "flags"),
    [(VALID, 1), (VALID[:-2] + b"00", 0), (b"01" + VALID[2:], 1), (b"cc" + VALID[2:] + b"-what-comes", 1)],
)
def test_valid(value: bytes, flags: int) -> None:
    """Version 00, and later versions by their known beginning."""
    assert Trace(ID.decode(), PARENT.decode(), flags) == parse_traceparent(value)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"ff" + VALID[2:], VALID + b"-x", VALID[:-1], VALID.upper(), VALID + b" ", b"00-" + b"0" * 32 + VALID[35:],
        VALID[:36] + b"0" * 16 + b"-01", VALID.replace(b"-", b"_"), b"01" + VALID[2:] + b"x", b"01" + VALID[2:] + b"-" + b"x" * 600,
    ],
)  # fmt: skip
def test_malformed_is_absent(value: bytes) -> None:
    """The standard: an invalid traceparent is treated as if there were none."""
    assert parse_traceparent(value) is None


def test_an_incoming_trace_goes_on() -> None:
    """Same trace id, new parent, known flags only, tracestate and b3 untouched."""
    fields = [(b"a", b"1"), (b"traceparent", VALID[:-2] + b"ff"), (b"tracestate", b"v=1"), (b"b3", b"x")]
    sent, trace_id = propagate(fields, bits)
    assert trace_id == ID.decode()
    assert sent == [
        (b"a", b"1"), (b"tracestate", b"v=1"), (b"b3", b"x"), (b"traceparent", b"00-" + ID + b"-ffffffffffffffff-01"),
    ]  # fmt: skip
    assert len(fields) == 4


@pytest.mark.parametrize("fields", [[], [(b"traceparent", b"x")], [(b"traceparent", VALID), (b"traceparent", VALID)]])
def test_otherwise_a_trace_begins(fields: Fields) -> None:
    """None, a malformed or a repeated one: new ids, not sampled, and no tracestate without its parent."""
    sent, trace_id = propagate([*fields, (b"tracestate", b"v=1"), (b"b3", b"x")], bits)
    assert trace_id == "f" * 32
    assert sent == [(b"b3", b"x"), (b"traceparent", b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-00")]


def test_the_trace_of_a_head_that_is_passed_on() -> None:
    """For the log only: the id, or nothing."""
    assert trace_id_of([(b"traceparent", VALID)]) == ID.decode()
    assert not trace_id_of([])
    assert not trace_id_of([(b"traceparent", VALID)] * 2)


def test_a_trace_from_a_peer_holds_nothing_but_a_trace() -> None:
    """It becomes a line of a head as it stands, so nothing follows it: no CR, LF or NUL, also no later version's suffix."""
    assert is_begun_trace(VALID)
    for bad in (b"", VALID + b"\r\n\r\nGET / HTTP/1.1\r\n", VALID + b"\n", b"01" + VALID[2:] + b"-\r", VALID.upper()):
        assert not is_begun_trace(bad)


def test_ids_are_never_zero() -> None:
    """A draw of nothing is still a valid trace."""
    sent, trace_id = propagate([], lambda _: 0)
    assert parse_traceparent(sent[0][1]) == Trace(trace_id, "0" * 15 + "1", 0)


@given(st.binary(max_size=80))
def test_any_value_is_read_or_absent(value: bytes) -> None:
    """Any bytes; what is passed on is always valid."""
    sent, trace_id = propagate([(b"traceparent", value)], bits)
    assert parse_traceparent(sent[0][1]).trace_id == trace_id

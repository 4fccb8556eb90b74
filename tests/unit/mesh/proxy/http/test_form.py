"""What of a head goes on: nothing of this hop, nothing that claims trust, and no line of the peer's own making."""

import pytest

from mesh.proxy.http.form import TrunkForms, begin_trace, request_form
from mesh.wire.fields import HeadError
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import Request, RequestReader
from mesh.wire.trace import parse_traceparent
from mesh.wire.trunk_frames import OpenedRequest, encode_fields

TRACE = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


def form_of(lines: bytes) -> object:
    (event,) = RequestReader(Memo()).receive(b"GET / HTTP/1.1\r\nhost: a\r\n" + lines + b"\r\n")
    assert isinstance(event, Request)
    return request_form(event.known)


def opened(target: bytes = b"/", trace: bytes = b"", **fields: bytes) -> OpenedRequest:
    block = encode_fields(
        [(b"host", b"a"), *((name.replace("_", "-").encode(), value) for name, value in fields.items())]
    )
    return OpenedRequest(b"GET", target, block, trace, 0)


def test_connection_and_trust_fields_end_here() -> None:
    """What names a hop or who calls is not passed on; the rest is."""
    form = form_of(b"connection: x-hop\r\nx-hop: 1\r\nx-forwarded-client-cert: URI=evil\r\nx-mine: 2\r\n")
    assert dict(form.fields) == {b"host": b"a", b"x-mine": b"2"}  # type: ignore[attr-defined]


def test_the_deadline_is_read_before_it_is_dropped() -> None:
    """The caller's own time counts, and is told anew at the next hop."""
    form = form_of(b"x-linkspan-deadline-ms: 1500\r\n")
    assert form.left_s == 1.5  # type: ignore[attr-defined]
    assert b"deadline" not in form.lines  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (b"traceparent: " + TRACE + b"\r\ntracestate: a=b\r\n", True),
        (b"traceparent: rubbish\r\ntracestate: a=b\r\n", False),
        (b"traceparent: " + TRACE + b"\r\ntraceparent: " + TRACE + b"\r\n", False),
    ],
)
def test_only_one_valid_trace_goes_on(lines: bytes, kept: bool) -> None:
    """A bad or doubled one is dropped with its state, and a new one is begun."""
    form = form_of(lines)
    assert bool(form.trace) is kept  # type: ignore[attr-defined]
    assert (b"trace" in form.lines) is kept  # type: ignore[attr-defined]


def test_a_begun_trace_is_valid_and_its_own() -> None:
    """Two requests never share one."""
    first, second = begin_trace(), begin_trace()
    assert parse_traceparent(first) is not None
    assert first != second


def test_a_trace_beside_the_head_cannot_hold_a_line() -> None:
    """A CR LF in it would be a request of the peer's own making."""
    with pytest.raises(HeadError, match="trace"):
        TrunkForms().request(opened(trace=b"x\r\nevil: 1"), end=True)


def test_a_request_that_ends_before_its_body_is_refused() -> None:
    """An announced length without the bytes would desynchronise the next hop."""
    with pytest.raises(HeadError, match="ends before"):
        TrunkForms().request(opened(content_length=b"5"), end=True)


def test_a_remembered_form_is_not_taken_for_another_framing() -> None:
    """The same block with and without a body are two forms; the same twice is one."""
    forms = TrunkForms()
    _, whole = forms.request(opened(), end=True)
    _, open_ended = forms.request(opened(), end=False)
    assert whole.length == 0
    assert open_ended.length != 0
    assert forms.request(opened(b"/other"), end=True) == (b"/other", whole)


def test_an_answer_that_ends_before_its_body_is_refused() -> None:
    """Except to HEAD, where the length is what there would be."""
    forms, block = TrunkForms(), encode_fields([(b"content-length", b"5")])
    assert forms.answer(200, block, b"HEAD", end=True).status == 200
    with pytest.raises(HeadError):
        forms.answer(200, block, b"GET", end=True)

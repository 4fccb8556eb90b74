"""Reading responses: framing by the request's method, interim answers, unasked bytes, and cutting."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire.head import CHUNKED, UNTIL_CLOSE
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import Body, BodyEnd, Malformed
from mesh.wire.http1.response import Response, ResponseEvent, ResponseReader

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def read(data: bytes, method: bytes = b"GET", *, cut: bool = False, eof: bool = False) -> list[ResponseEvent]:
    """All events of one answer."""
    one = ResponseReader(Memo())
    one.expect(method)
    events: list[ResponseEvent] = []
    for part in [data[at : at + 1] for at in range(len(data))] if cut else [data]:
        if events and one.is_done and not _has_tunnel(events):
            # What comes after the end is its owner's to see: the same whether in one piece or two.
            events += one.receive(part) if not isinstance(events[-1], Malformed) else []
            continue
        if _has_tunnel(events):
            break
        events += one.receive(part)
    return events + (one.receive_eof() if eof else [])


def _has_tunnel(events: list[ResponseEvent]) -> bool:
    return any(isinstance(event, Response) and event.known.head.status == 101 for event in events)


def _is_interim(event: ResponseEvent) -> bool:
    return isinstance(event, Response) and event.known.head.status < 101


def plain(events: list[ResponseEvent]) -> list[object]:
    """Events as values, a body's pieces joined and its end apart."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, Response):
            found.append((event.known.head, event.end))
        elif isinstance(event, Malformed):
            found.append(event.error.status)
        else:
            if isinstance(event, Body):
                if not (found and isinstance(found[-1], list)):
                    found.append([b""])
                found[-1][0] += bytes(event.data)
            if isinstance(event, BodyEnd) or event.end:
                found.append(("end", getattr(event, "trailers", [])))
    return found


@pytest.mark.parametrize("cut", [False, True])
def test_a_counted_answer_is_read_to_its_end(cut: bool) -> None:
    """Head, body, end; the connection may be used again."""
    first, *rest = read(OK, cut=cut)
    assert isinstance(first, Response)
    assert (first.known.head.status, first.known.head.length, first.known.head.keep_alive) == (200, 5, True)
    assert plain(rest) == [[b"hello"], ("end", [])]


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    """And only so; the connection is not used again."""
    first, *rest = read(b"HTTP/1.1 200 OK\r\n\r\nhello", eof=True)
    assert isinstance(first, Response)
    assert (first.known.head.length, first.known.head.keep_alive) == (UNTIL_CLOSE, False)
    assert plain(rest) == [[b"hello"], ("end", [])]


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200", OK[:-1], b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
)  # fmt: skip
def test_a_connection_that_ends_before_its_answer_broke_it(data: bytes) -> None:
    """A body cut short must never look complete."""
    assert plain(read(data, eof=True))[-1] == 502


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
    ],
)
def test_answers_that_have_no_body_end_with_their_head(method: bytes, head: bytes) -> None:
    """Whatever they announce; a byte more is malformed."""
    [event] = read(head, method)
    assert isinstance(event, Response)
    assert event.end
    assert plain(read(head + b"x", method))[-1] == 502


def test_the_same_head_is_read_by_the_method_it_answers() -> None:
    """A remembered answer to HEAD must not frame the answer to a GET, nor the other way round."""
    memo: Memo[Any, Any] = Memo()
    head, body = OK[:-5], OK[-5:]
    for method, data, has_end in ((b"HEAD", head, True), (b"GET", head + body, False), (b"HEAD", head, True)):
        one = ResponseReader(memo)
        one.expect(method)
        first = one.receive(data)[0]
        assert isinstance(first, Response)
        assert first.end is has_end
        assert one.is_done


def test_interim_answers_come_before_the_final_one_and_are_bounded() -> None:
    """100 and 103 are told; an endless row of them is refused."""
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
    statuses = [event.known.head.status for event in read(interim * 2 + OK) if isinstance(event, Response)]
    assert statuses == [103, 103, 200]
    assert plain(read(interim * 100))[-1] == 502


def test_bytes_that_nobody_asked_for_are_refused() -> None:
    """Before a request, and after an answer's end: they must never be the next answer."""
    one = ResponseReader(Memo())
    assert isinstance(one.receive(OK)[-1], Malformed)
    assert plain(read(OK + OK))[-1] == 502


def test_what_follows_a_switch_of_protocols_belongs_to_the_tunnel() -> None:
    """Bytes after the 101 are handed over untouched."""
    one = ResponseReader(Memo())
    one.expect(b"GET")
    [event] = one.receive(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\0"
    )
    assert isinstance(event, Response)
    assert one.take_rest() == b"\x81\0"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 600 High\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_malformed_answers_are_the_applications_error(data: bytes) -> None:
    """Each is a 502 and the reader is deaf after it, read whole or (but for the endless one) byte by byte."""
    assert plain(read(data, cut=False))[-1] == 502
    if len(data) <= 10_000:
        assert plain(read(data, cut=True))[-1] == 502


def test_distinct_heads_are_remembered_within_bounds_however_their_bytes_are_spread() -> None:
    """An application with a long reason phrase must not make the memory of heads large."""
    memo: Memo[Any, Any] = Memo()
    for number in range(100):
        one = ResponseReader(memo)
        one.expect(b"GET")
        events = one.receive(b"HTTP/1.1 200 %b%d\r\ncontent-length: 0\r\n\r\n" % (b"a" * 50_000, number))
        assert isinstance(events[0], Response)
    assert not memo.recent


pieces = st.lists(
    st.sampled_from(
        [
            OK, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 404 No\r\n", b"\r\n", b"\r", b"\n", b"x",
            b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n", b"connection: close\r\n", b"\0",
        ]
    ),
    max_size=8,
).map(b"".join)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.one_of(pieces, st.binary(max_size=40)), st.sampled_from([b"GET", b"HEAD"]))
def test_fuzz_whole_equals_byte_by_byte(data: bytes, method: bytes) -> None:
    """Any bytes give events or the peer's error, the same however they are cut; nothing follows an error.

    But for interim answers that came together with a malformed one: those may be left out.
    """
    whole, cut = (
        [event for event in read(data, method, cut=in_pieces, eof=True) if not _is_interim(event)]
        for in_pieces in (False, True)
    )
    assert plain(whole) == plain(cut)
    assert 502 not in plain(whole)[:-1]


def test_chunks_carry_trailers() -> None:
    """A chunked answer ends with its trailers."""
    first, *rest = read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n")
    assert isinstance(first, Response)
    assert first.known.head.length == CHUNKED
    assert plain(rest) == [[b"abc"], ("end", [(b"grpc-status", b"0")])]

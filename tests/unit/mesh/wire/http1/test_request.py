"""Reading requests: what passes, what never does, and that cutting the bytes changes nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire.fields import MAX_HEAD_BYTES
from mesh.wire.head import CHUNKED
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import Body, BodyEnd, Malformed, Request, RequestEvent, RequestReader

GET = b"GET /a?b HTTP/1.1\r\nHost: Web:80\r\nAccept: */*\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nhost: web\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED_POST = b"POST /a HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def reader(memo: Memo[Any, Any] | None = None) -> RequestReader:
    """A reader with a memo of its own."""
    return RequestReader(Memo() if memo is None else memo)


def read(data: bytes, *, cut: bool = False, memo: Memo[Any, Any] | None = None) -> list[RequestEvent]:
    """All events of a connection whose requests are answered at once."""
    one = reader(memo)
    events: list[RequestEvent] = []
    for part in [data[at : at + 1] for at in range(len(data))] if cut else [data]:
        events += one.receive(part)
        while _is_over(events) and one.has_more:
            before = len(events)
            events += one.next_message()
            if len(events) == before:
                break
        if _is_over(events):
            events += one.next_message()
    return events


def _is_over(events: list[RequestEvent]) -> bool:
    last = events[-1] if events else None
    return isinstance(last, BodyEnd) or (isinstance(last, Request | Body) and last.end)


def plain(events: list[RequestEvent]) -> list[object]:
    """Events as values, a body's pieces joined and its end apart."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, Request):
            found.append((event.target, event.known.head, event.known.is_old))
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


def test_a_request_is_read_with_its_facts() -> None:
    """Target, host, names in lower case, keep-alive."""
    [event] = read(GET)
    assert isinstance(event, Request)
    head = event.known.head
    assert (event.target, event.end, head.host, head.length, head.keep_alive) == (b"/a?b", True, b"web", 0, True)
    assert head.fields == [(b"host", b"Web:80"), (b"accept", b"*/*")]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("data", "length"), [(POST, 5), (CHUNKED_POST, CHUNKED)])
def test_a_body_is_read_to_its_end_and_the_next_request_after_it(data: bytes, length: int, cut: bool) -> None:
    """Requests that were sent ahead wait for their turn and keep their bytes apart."""
    first, *rest = read(data + GET, cut=cut)
    assert isinstance(first, Request)
    assert first.known.head.length == length
    values = plain(rest)
    assert values[0] == [b"hello"]
    assert values[1] == ("end", [])
    assert values[2][0] == b"/a?b"  # type: ignore[index]


def test_what_is_sent_ahead_waits_and_is_bounded() -> None:
    """Nothing of a second request is told before the first is answered; a client that sends on and on is refused."""
    one = reader()
    assert len(one.receive(GET + GET)) == 1
    assert one.has_more
    assert one.receive(GET) == []
    last = [event for _ in range(64) for event in one.receive(b"x" * 16384)][-1]
    assert isinstance(last, Malformed)
    assert one.receive(GET) == []


def test_a_remembered_head_is_what_parsing_again_would_give() -> None:
    """Same bytes but for the target: the same head; any other byte: another one."""
    memo: Memo[Any, Any] = Memo()
    [first] = read(GET, memo=memo)
    [again] = read(GET.replace(b"/a?b", b"/other"), memo=memo)
    [different] = read(GET.replace(b"Web", b"Api"), memo=memo)
    assert isinstance(first, Request)
    assert isinstance(again, Request)
    assert isinstance(different, Request)
    assert again.known.head == first.known.head
    assert again.target == b"/other"
    assert different.known.head.host == b"api"


HOST = b"Host: web\r\n"
REFUSED = {
    "content-length and transfer-encoding": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    "hexadecimal length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    "endless length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
    "gzip, chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, identity": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "xchunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical tab before chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding on 1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF in the head": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "bare CR before the end": b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "versionless with bare LF": b"GET /x\nHost: a\r\n\r\n",
    "versionless with fields": b"GET /x\r\nHost: a\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "transfer-encoding by obs-fold": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "CR in a chunk extension": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\rb\r\nx\r\n0\r\n\r\n",
    "endless chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "empty host": b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "host and absolute target differ": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/1.1": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "name with a space": b"GET / HTTP/1.1\r\nHost: a\r\na b: c\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "field before the first line": b"X: a\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces in the first line": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces before the version": b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab in the first line": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "space before the first line": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "connection hides the length": b"POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
    "large field": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
    "many empty lines": b"\r\n" * 6 + GET,
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_malformed_head_is_refused_by_the_whole_codec(name: str) -> None:
    """What one parser or another takes (see the cases' names) never passes this one, and nothing passes after it."""
    events = read(REFUSED[name] + GET)
    assert isinstance(events[-1], Malformed), plain(events)
    assert 400 <= events[-1].error.status <= 505
    requests = [event for event in events if isinstance(event, Request)]
    assert all(event.known.head.length == CHUNKED for event in requests), "only a body may be found bad later"


def test_a_head_without_end_is_refused_when_it_is_too_long() -> None:
    """A client that never ends its head costs no more than the bound."""
    one = reader()
    events: list[RequestEvent] = one.receive(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    sent = 0
    while not events and sent < 2 * MAX_HEAD_BYTES:
        events = one.receive(b"a" * 1000)
        sent += 1000
    [event] = events
    assert isinstance(event, Malformed)
    assert event.error.status == 431
    assert sent <= MAX_HEAD_BYTES + 1000


def test_what_follows_an_upgrade_belongs_to_the_tunnel() -> None:
    """Bytes after the head are handed over untouched."""
    one = reader()
    head = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    [event] = one.receive(head + b"\x81\x00\r\n\r\n")
    assert isinstance(event, Request)
    assert event.known.head.upgrade == b"websocket"
    assert one.take_rest() == b"\x81\x00\r\n\r\n"


pieces = st.lists(
    st.sampled_from(
        [
            GET, POST, CHUNKED_POST, b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n", b"\r", b"\n", b"x", b":", b" ", b"\0",
            b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n", b"POST /p HTTP/1.0\r\n",
            b"connection: close\r\n", b"GET http://a/ HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n", b"expect: 100-continue\r\n",
        ]
    ),
    max_size=9,
).map(b"".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(pieces, st.binary(max_size=60)).filter(lambda data: b"\r\n" * 5 not in data))
def test_fuzz_whole_equals_byte_by_byte(data: bytes) -> None:
    """Any bytes give events or the peer's error, the same however they are cut (but for how many empty lines it bears)."""
    assert plain(read(data)) == plain(read(data, cut=True))

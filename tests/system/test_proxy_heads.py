"""Malformed HTTP at real proxies: refused with the right status at either side, and never in the application.

Each head goes to the upstream port of the caller's proxy, as from an application, and to the mesh port of the callee's over
mTLS with ALPN http/1.1, as from a peer that is not Linkspan. Every one of them tries to bring `smuggled` to the application.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from mesh.proxy.settings import Timeouts
from tests.lab.counting_app import Answer, CountingApp
from tests.lab.mesh_pair import CALLEE, CALLER, Hop, Mesh, dial_mesh, mesh, read_answer, status_of

MARK = b"smuggled"
HEAD_S = 1.5


def line(
    *fields: bytes, start: bytes = b"GET /smuggled HTTP/1.1", host: bytes = b"Host: api\r\n", end: bytes = b""
) -> bytes:
    """A request of a start line, Host and some fields."""
    return start + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + end


POST = b"POST /smuggled HTTP/1.1"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: api\r\n\r\n"

# Every row of the table of parsers' weaknesses, and the families around it: name, bytes, status.
HEADS: dict[str, tuple[bytes, int]] = {
    # Two framings (CL.TE, TE.CL).
    "CL and TE": (line(b"Content-Length: 4", b"Transfer-Encoding: chunked", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    "TE and CL": (line(b"Transfer-Encoding: chunked", b"Content-Length: 4", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    "CL 0 and TE": (line(b"Content-Length: 0", b"Transfer-Encoding: chunked", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    # Content-Length in more than one, or no, meaning.
    "two equal CL": (line(b"Content-Length: 5", b"Content-Length: 5", start=POST, end=b"hello"), 400),
    "two different CL": (line(b"Content-Length: 5", b"Content-Length: 0", start=POST, end=NEXT), 400),
    "CL list": (line(b"Content-Length: 5, 5", start=POST, end=b"hello"), 400),
    "CL with sign": (line(b"Content-Length: +5", start=POST, end=b"hello"), 400),
    "CL negative": (line(b"Content-Length: -1", start=POST, end=b"hello"), 400),
    "CL hexadecimal": (line(b"Content-Length: 0x5", start=POST, end=b"hello"), 400),
    "CL with underscore": (line(b"Content-Length: 1_0", start=POST, end=b"hello"), 400),
    "CL with space inside": (line(b"Content-Length: 5 5", start=POST, end=b"hello"), 400),
    "CL empty": (line(b"Content-Length:", start=POST, end=b"hello"), 400),
    "CL over 64 bit": (line(b"Content-Length: 18446744073709551621", start=POST, end=b"hello"), 400),
    "CL over what is taken": (line(b"Content-Length: 9999999999999999", start=POST, end=b"hello"), 400),
    # Transfer-Encoding that others read otherwise (TE.TE).
    "TE gzip, chunked": (line(b"Transfer-Encoding: gzip, chunked", start=POST, end=b"0\r\n\r\n" + NEXT), 501),
    "TE chunked, gzip": (line(b"Transfer-Encoding: chunked, gzip", start=POST, end=b"0\r\n\r\n"), 400),
    "TE chunked twice in one": (line(b"Transfer-Encoding: chunked, chunked", start=POST, end=b"0\r\n\r\n"), 400),
    "TE twice": (line(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", start=POST, end=b"0\r\n\r\n"), 400),
    "TE identity": (line(b"Transfer-Encoding: identity", start=POST, end=NEXT), 400),
    "TE xchunked": (line(b"Transfer-Encoding: xchunked", start=POST, end=b"0\r\n\r\n"), 400),
    "TE chunked and cow": (line(b"Transfer-Encoding: chunked", b"Transfer-Encoding: cow", start=POST, end=NEXT), 400),
    "TE with a space before its colon": (line(b"Transfer-Encoding : chunked", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    "TE with a vertical tab": (line(b"Transfer-Encoding: \x0bchunked", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    "TE in quotes": (line(b'Transfer-Encoding: "chunked"', start=POST, end=b"0\r\n\r\n"), 400),
    "TE empty": (line(b"Transfer-Encoding:", start=POST, end=NEXT), 400),
    "TE on HTTP/1.0": (line(b"Transfer-Encoding: chunked", start=b"POST /smuggled HTTP/1.0", end=b"0\r\n\r\n"), 400),
    # Line ends.
    "bare LF": (b"GET /smuggled HTTP/1.1\nHost: api\n\n", 400),
    "bare LF in one line": (b"GET /smuggled HTTP/1.1\r\nHost: api\nX-A: b\r\n\r\n", 400),
    "bare LF at the end": (b"GET /smuggled HTTP/1.1\r\nHost: api\r\n\n" + NEXT, 400),
    "bare CR": (b"GET /smuggled HTTP/1.1\r\nHost: api\rX-A: b\r\n\r\n", 400),
    "CR in a value": (line(b"X-A: b\rTransfer-Encoding: chunked"), 400),
    "CR before CRLF": (line(b"X-A: b\r"), 400),
    "LF in a value": (line(b"X-A: b\nX-Smuggled: 1"), 400),
    "NUL in a value": (line(b"X-A: b\0c"), 400),
    "NUL in a name": (line(b"X-\0A: b"), 400),
    "NUL in the target": (line(start=b"GET /smuggled\0 HTTP/1.1"), 400),
    "DEL in a value": (line(b"X-A: b\x7fc"), 400),
    "obs-fold": (line(b"X-A: b\r\n folded"), 400),
    "obs-fold with a tab": (line(b"X-A: b\r\n\tfolded"), 400),
    "TE by obs-fold": (line(b"Transfer-Encoding:\r\n chunked", start=POST, end=b"0\r\n\r\n" + NEXT), 400),
    "fold on the first field": (b"GET /smuggled HTTP/1.1\r\n Host: api\r\n\r\n", 400),
    "many blank lines first": (b"\r\n" * 9 + NEXT, 400),
    "LF first": (b"\n" + NEXT, 400),
    # Fields.
    "no Host": (line(host=b""), 400),
    "two Hosts": (line(b"Host: smuggled"), 400),
    "two equal Hosts": (line(b"Host: api"), 400),
    "empty Host": (line(host=b"Host:\r\n"), 400),
    "Host with a path": (line(host=b"Host: api/smuggled\r\n"), 400),
    "Host with user": (line(host=b"Host: api@smuggled\r\n"), 400),
    "Host list": (line(host=b"Host: api, smuggled\r\n"), 400),
    "Host with a port too large": (line(host=b"Host: api:99999\r\n"), 400),
    "field without colon": (line(b"X-A"), 400),
    "field without name": (line(b": b"), 400),
    "space before a colon": (line(b"X-A : b"), 400),
    "space in a name": (line(b"X A: b"), 400),
    "pseudo field": (line(b":path: /admin"), 400),
    "name not ASCII": (line(b"X-\xc3\xa4: b"), 400),
    "Connection hides Host": (line(b"Connection: close, Host"), 400),
    "Connection hides the length": (line(b"Connection: Content-Length", b"Content-Length: 5", start=POST, end=b"hello"), 400),
    "Connection hides who calls": (line(b"Connection: X-Forwarded-Client-Cert"), 400),
    "upgrade with a body": (line(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5", start=POST, end=b"hello"), 400),
    "an expectation not known": (line(b"Expect: 200-ok"), 417),
    # Request line.
    "HTTP/0.9": (b"GET /smuggled\r\n\r\n", 400),
    "versionless with LF": (b"GET /smuggled\nHost: api\n\n", 400),
    "versionless with fields": (b"GET /smuggled\r\nHost: api\r\n\r\n", 400),
    "HTTP/1.2": (line(start=b"GET /smuggled HTTP/1.2"), 400),
    "HTTP/9.9": (line(start=b"GET /smuggled HTTP/9.9"), 400),
    "HTTP/2.0": (line(start=b"GET /smuggled HTTP/2.0"), 505),
    "HTTP/1.10": (line(start=b"GET /smuggled HTTP/1.10"), 400),
    "http/1.1 in lower case": (line(start=b"GET /smuggled http/1.1"), 400),
    "two spaces": (line(start=b"GET  /smuggled HTTP/1.1"), 400),
    "two spaces before the version": (line(start=b"GET /smuggled  HTTP/1.1"), 400),
    "a tab between": (line(start=b"GET\t/smuggled HTTP/1.1"), 400),
    "a space after the version": (line(start=b"GET /smuggled HTTP/1.1 "), 400),
    "a space before the method": (line(start=b" GET /smuggled HTTP/1.1"), 400),
    "a space in the target": (line(start=b"GET /a /smuggled HTTP/1.1"), 400),
    "method in lower case": (line(start=b"get /smuggled HTTP/1.1"), 400),
    "unknown method": (line(start=b"SMUGGLE /smuggled HTTP/1.1"), 400),
    "method with a colon": (line(start=b"GET: /smuggled HTTP/1.1"), 400),
    "CONNECT": (b"CONNECT api:80 HTTP/1.1\r\nHost: api:80\r\n\r\n", 501),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS to a plain port": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
    # Targets.
    "absolute form of another host": (line(start=b"GET http://smuggled/ HTTP/1.1"), 400),
    "absolute form with user": (line(start=b"GET http://api@smuggled/ HTTP/1.1"), 400),
    "absolute form without host": (line(start=b"GET http:///smuggled HTTP/1.1"), 400),
    "another scheme": (line(start=b"GET ftp://api/smuggled HTTP/1.1"), 400),
    "the star for GET": (line(start=b"GET * HTTP/1.1"), 400),
    "no slash first": (line(start=b"GET smuggled HTTP/1.1"), 400),
    "encoded slash": (line(start=b"GET /a%2fsmuggled HTTP/1.1"), 400),
    "encoded NUL": (line(start=b"GET /smuggled%00 HTTP/1.1"), 400),
    "encoded twice": (line(start=b"GET /a/%252e%252e/smuggled HTTP/1.1"), 400),
    "overlong dot": (line(start=b"GET /a/%c0%ae%c0%ae/smuggled HTTP/1.1"), 400),
    "backslash": (line(start=b"GET /a\\..\\smuggled HTTP/1.1"), 400),
    "fragment": (line(start=b"GET /smuggled#a HTTP/1.1"), 400),
    "dot segment with parameters": (line(start=b"GET /a/..;/smuggled HTTP/1.1"), 400),
    "not ASCII": (line(start=b"GET /smuggled\xe4 HTTP/1.1"), 400),
    # Sizes.
    "a field of 100 KB": (line(b"X-A: " + b"a" * 100_000), 431),
    "a target of 100 KB": (line(start=b"GET /smuggled" + b"a" * 100_000 + b" HTTP/1.1"), 431),
    "5,000 fields": (line(*(b"X-%d: a" % number for number in range(5000))), 431),
    "101 fields": (line(*(b"X-%d: a" % number for number in range(100))), 431),
    "a name of 300 bytes": (line(b"X" * 300 + b": a"), 431),
    "no end in 100 KB": (b"GET /smuggled HTTP/1.1\r\nHost: api\r\nX-A: " + b"a" * 100_000, 431),
}  # fmt: skip
# Well framed, but without one spelling of the path: refused, and the connection may go on.
KEPT = {"encoded slash", "encoded NUL", "encoded twice", "overlong dot", "backslash", "fragment", "dot segment with parameters"}  # fmt: skip


def chunked(body: bytes) -> bytes:
    """A request whose head is fine and whose body is chunks."""
    return line(b"Transfer-Encoding: chunked", start=b"POST /chunks HTTP/1.1", end=body)


# The head is fine and may be on its way already; the request must never become whole, nor anything after it pass.
CHUNKS: dict[str, bytes] = {
    "size of 18 digits": chunked(b"FFFFFFFFFFFFFFFFFF\r\n" + NEXT),
    "size over 64 bit": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size negative": chunked(b"-5\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size with 0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size with underscore": chunked(b"0_5\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size empty": chunked(b"\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size with space first": chunked(b" 5\r\nhello\r\n0\r\n\r\n" + NEXT),
    "CR in an extension": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n" + NEXT),
    "LF in an extension": chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n" + NEXT),
    "NUL in an extension": chunked(b"5;a\0b\r\nhello\r\n0\r\n\r\n" + NEXT),
    "endless extension": chunked(b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n" + NEXT),
    "size ends in LF": chunked(b"5\nhello\r\n0\r\n\r\n" + NEXT),
    "chunk longer than its size": chunked(b"5\r\nhello world\r\n0\r\n\r\n" + NEXT),
    "chunk ends in LF": chunked(b"5\r\nhello\n0\r\n\r\n" + NEXT),
    "last chunk ends in LF": chunked(b"5\r\nhello\r\n0\n\n" + NEXT),
    "trailer with a length": chunked(b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n" + NEXT),
    "trailer with an encoding": chunked(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" + NEXT),
    "trailer with a host": chunked(b"5\r\nhello\r\n0\r\nHost: smuggled\r\n\r\n" + NEXT),
    "trailer that says who calls": chunked(b"5\r\nhello\r\n0\r\nX-Forwarded-Client-Cert: smuggled\r\n\r\n" + NEXT),
    "trailer with CR": chunked(b"5\r\nhello\r\n0\r\nX-A: b\rc\r\n\r\n" + NEXT),
    "trailer folded": chunked(b"5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n" + NEXT),
    "endless trailers": chunked(b"5\r\nhello\r\n0\r\n" + b"X-A: b\r\n" * 2000 + b"\r\n" + NEXT),
}

# What must pass, so that a refusal means something: bytes, and what the application must see of it.
GOOD: dict[str, tuple[bytes, bytes]] = {
    "plain": (b"GET /good1 HTTP/1.1\r\nHost: api\r\n\r\n", b"GET /good1 HTTP/1.1\r\n"),
    "a blank line first": (b"\r\nGET /good2 HTTP/1.1\r\nHost: api\r\n\r\n", b"GET /good2 HTTP/1.1\r\n"),
    "absolute form": (b"GET http://api/good3 HTTP/1.1\r\nHost: api\r\n\r\n", b"GET /good3 HTTP/1.1\r\n"),
    "the star": (b"OPTIONS * HTTP/1.1\r\nHost: api\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n"),
    "100 fields": (
        b"GET /good5 HTTP/1.1\r\nHost: api\r\n" + b"X-A: b\r\n" * 99 + b"\r\n",
        b"GET /good5 HTTP/1.1\r\n",
    ),
    "dot segments": (b"GET /a/../good6 HTTP/1.1\r\nHost: api\r\n\r\n", b"GET /good6 HTTP/1.1\r\n"),
    "chunks with extension and trailer": (
        b"POST /good7 HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        b"POST /good7 HTTP/1.1\r\n",
    ),
    "HTTP/1.0": (b"GET /good8 HTTP/1.0\r\nHost: api\r\n\r\n", b"GET /good8 HTTP/1.1\r\n"),
}


@dataclass(frozen=True)
class Pair:
    """Both proxies, the application behind them, and the two ways in."""

    app: CountingApp
    caller: Hop
    callee: Hop
    ways: dict[str, Callable[[], socket.socket]]
    kept: dict[str, socket.socket] = field(default_factory=dict)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with CountingApp() as app, mesh(tmp_path_factory.mktemp("heads")) as made:
        both = _pair(app, made)
        yield both
        for sock in both.kept.values():
            sock.close()


def _pair(app: CountingApp, made: Mesh) -> Pair:
    timeouts = Timeouts(head_s=HEAD_S)
    callee = made.callee(app.port, timeouts=timeouts)
    caller = made.caller({CALLEE: callee.port}, timeouts=timeouts)
    leaf = made.leaf(CALLER)

    def as_application() -> socket.socket:
        return socket.create_connection(("127.0.0.1", caller.upstreams[CALLEE]), timeout=10)

    def as_foreign_peer() -> socket.socket:
        return dial_mesh(callee.port, leaf, made.roots)

    return Pair(app, caller, callee, {"outbound": as_application, "inbound": as_foreign_peer})


WAYS = pytest.mark.parametrize("way", ["outbound", "inbound"])


def exchange(dial: Callable[[], socket.socket], data: bytes) -> bytes:
    """Send on a connection of one's own; all that comes back until the end of the first answer."""
    with dial() as sock:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            sock.sendall(data)
        return read_answer(sock)


def assert_untouched(pair: Pair) -> None:
    """Nothing of what a test tried to bring to the application is there (it is looked at once)."""
    received = bytes(pair.app.received)
    pair.app.received.clear()
    assert MARK not in received, received[-2000:]


def assert_serves(pair: Pair, way: str) -> None:
    """A good request passes now, on a connection that is kept, and whatever was sent before has arrived if it ever will."""
    for _ in range(2):
        sock = pair.kept.get(way) or pair.ways[way]()
        pair.kept[way] = sock
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            sock.sendall(b"GET /well HTTP/1.1\r\nHost: api\r\n\r\n")
        if answer := read_answer(sock):
            break
        pair.kept.pop(way).close()  # it was idle for too long
    assert status_of(answer) == 200, answer


@WAYS
@pytest.mark.parametrize("name", GOOD)
def test_good_heads_pass(pair: Pair, way: str, name: str) -> None:
    """What is well-formed passes, written anew."""
    data, seen = GOOD[name]
    assert status_of(exchange(pair.ways[way], data)) == 200
    assert any(request.startswith(seen.rstrip()) for request in pair.app.requests)


@WAYS
@pytest.mark.parametrize("name", HEADS)
def test_malformed_heads_are_refused(pair: Pair, way: str, name: str) -> None:
    """A malformed head is answered with its status, the connection is closed, and the application gets not one byte."""
    data, status = HEADS[name]
    before = len(pair.app.requests)
    with pair.ways[way]() as sock:
        sock.sendall(data)
        answer = read_answer(sock)
        assert status_of(answer) == status, answer
        if name not in KEPT:
            assert b"\r\nconnection: close\r\n" in answer
            assert read_answer(sock) == b"", "something came after the refusal"
    assert_serves(pair, way)
    assert [request.split(b" ")[1] for request in pair.app.requests[before:]] == [b"/well"]
    assert_untouched(pair)


@pytest.mark.parametrize("name", HEADS)
def test_malformed_heads_are_refused_in_pieces(pair: Pair, name: str) -> None:
    """The same however the bytes are cut: half of it first, the rest in a turn of its own (both sides read alike)."""
    data, status = HEADS[name]
    middle = min(len(data) // 2, 1000)
    with pair.ways["outbound"]() as sock:
        sock.sendall(data[:middle])
        time.sleep(0.003)  # noqa: TID251 - real processes know no virtual time
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            sock.sendall(data[middle:])
        answer = read_answer(sock)
        assert status_of(answer) == status, answer
    assert_untouched(pair)


@WAYS
@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks_are_refused(pair: Pair, way: str, name: str) -> None:
    """A malformed body never becomes a whole request, and nothing behind it passes."""
    before = len(pair.app.requests)
    with pair.ways[way]() as sock:
        sock.sendall(CHUNKS[name])
        answer = read_answer(sock)
        assert status_of(answer) == 400, answer
        assert read_answer(sock) == b"", "something came after the refusal"
    assert_serves(pair, way)
    assert [request.split(b" ")[1] for request in pair.app.requests[before:]] == [b"/well"]
    assert_untouched(pair)


@WAYS
def test_a_refused_request_spoils_those_sent_ahead(pair: Pair, way: str) -> None:
    """In a pipeline the good request before a malformed one is answered, nothing after it."""
    with pair.ways[way]() as sock:
        sock.sendall(b"GET /well HTTP/1.1\r\nHost: api\r\n\r\n" + HEADS["CL and TE"][0] + NEXT)
        data = b""
        while piece := _receive(sock):
            data += piece
    assert [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]] == [200, 400]
    assert_untouched(pair)


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except (ConnectionError, ssl.SSLError):
        return b""


@WAYS
def test_callers_cannot_say_who_they_are(pair: Pair, way: str) -> None:
    """Trust fields of a client are dropped, in any spelling; the proxy's own is there once."""
    fields = b"X-Forwarded-Client-Cert: smuggled\r\nX_Forwarded_Client-Cert: smuggled\r\nX-Linkspan-Admin: smuggled\r\n"
    assert status_of(exchange(pair.ways[way], b"GET /who HTTP/1.1\r\nHost: api\r\n%b\r\n" % fields)) == 200
    head = next(request for request in reversed(pair.app.requests) if b" /who " in request)
    assert head.count(b"x-forwarded-client-cert: By=spiffe://") == 1
    assert_untouched(pair)


OK = b"HTTP/1.1 200 OK\r\n"
# Answers of an application that never may reach the caller as they are.
ANSWERS: dict[str, bytes] = {
    "CL and TE": OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nsmuggled",
    "two equal CL": OK + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "two different CL": OK + b"content-length: 5\r\ncontent-length: 0\r\n\r\nhello",
    "CL list": OK + b"content-length: 5, 5\r\n\r\nhello",
    "CL negative": OK + b"content-length: -5\r\n\r\nhello",
    "CL over 64 bit": OK + b"content-length: 18446744073709551621\r\n\r\nhello",
    "TE gzip, chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE gzip": OK + b"transfer-encoding: gzip\r\n\r\nhello",
    "TE twice": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE on HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "bare CR": OK + b"x-a: b\rset-cookie: smuggled\r\ncontent-length: 0\r\n\r\n",
    "LF in a value": OK + b"x-a: b\nset-cookie: smuggled\r\ncontent-length: 0\r\n\r\n",
    "NUL in a value": OK + b"x-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "obs-fold": OK + b"x-a: b\r\n folded\r\ncontent-length: 0\r\n\r\n",
    "space before a colon": OK + b"content-length : 5\r\n\r\nhello",
    "field without colon": OK + b"smuggled\r\n\r\n",
    "field without name": OK + b": smuggled\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 OK\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\ncontent-length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>smuggled</html>\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a field of 100 KB": OK + b"x-a: " + b"a" * 100_000 + b"\r\n\r\n",
    "no end in 100 KB": OK + b"x-a: " + b"a" * 100_000,
    "5,000 fields": OK + b"x-a: b\r\n" * 5000 + b"\r\n",
    "101 fields": OK + b"x-a: b\r\n" * 101 + b"\r\n",
    "endless interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
    "closes in the head": OK + b"content-le",
    "closes at once": b"",
}
CLOSES = {"closes in the head", "closes at once", "no end in 100 KB"}


@WAYS
@pytest.mark.parametrize("name", ANSWERS)
def test_malformed_answers_become_502(pair: Pair, way: str, name: str) -> None:
    """A malformed answer of the application is a 502 for the caller, and nothing of it passes."""
    target = b"/answer/" + name.replace(" ", "-").replace(",", "").encode()
    pair.app.answers[target] = Answer(ANSWERS[name], closes=name in CLOSES)
    answer = exchange(pair.ways[way], b"GET %b HTTP/1.1\r\nHost: api\r\n\r\n" % target)
    final = answer[answer.rfind(b"HTTP/1.1 ") :]
    assert status_of(final) == 502, answer
    assert MARK not in answer
    assert_serves(pair, way)


UNASKED = {
    "a second answer": OK + b"content-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled",
    "bytes after a 204": b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled",
    "a body on a 204": b"HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\nsmuggled",
    "bytes after a 304": b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled",
    "bytes after the last chunk": OK + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + OK + b"x: smuggled\r\n\r\n",
}


@WAYS
@pytest.mark.parametrize("name", UNASKED)
def test_what_nobody_asked_for_answers_nobody(pair: Pair, way: str, name: str) -> None:
    """What an application sends after its answer is never taken for the next one's."""
    target = b"/unasked/" + name.replace(" ", "-").encode()
    pair.app.answers[target] = Answer(UNASKED[name])
    with pair.ways[way]() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: api\r\n\r\n" % target)
        data = sock.recv(65536)
        assert status_of(data) in {200, 204, 304}
        assert MARK not in data
    for _ in range(3):
        answer = exchange(pair.ways[way], b"GET /well HTTP/1.1\r\nHost: api\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nok"), answer


BODIES = {
    "size of 18 digits": b"FFFFFFFFFFFFFFFFFF\r\nsmuggled",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": b"2\r\nhello\r\n0\r\n\r\n",
    "trailer with a length": b"2\r\nok\r\n0\r\ncontent-length: 8\r\n\r\n",
    "cut in a chunk": b"ff\r\nhello",
}


@WAYS
@pytest.mark.parametrize("name", BODIES)
def test_malformed_answer_bodies_are_cut(pair: Pair, way: str, name: str) -> None:
    """An answer whose chunks are malformed ends without its last chunk: the caller can tell that it is not whole."""
    target = b"/body/" + name.replace(" ", "-").encode()
    raw = OK + b"transfer-encoding: chunked\r\n\r\n" + BODIES[name]
    pair.app.answers[target] = Answer(raw, closes=name == "cut in a chunk")
    with pair.ways[way]() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: api\r\n\r\n" % target)
        data = b""
        while piece := _receive(sock):
            data += piece
    assert status_of(data) in {200, 502}
    assert status_of(data) == 502 or not data.endswith(b"0\r\n\r\n"), data
    assert MARK not in data
    assert_serves(pair, way)


def _drip(sock: socket.socket, data: bytes, every_s: float, done: threading.Event) -> None:
    for byte in data:
        try:
            sock.send(bytes((byte,)))
        except OSError:
            return
        if done.wait(every_s):
            return


@WAYS
@pytest.mark.parametrize(
    "start", [b"GET /smuggled HTTP/1.1\r\nHost: api\r\nX-A: ", b"GET /well HTTP/1.1\r\nHost: api\r\n\r\nGET "]
)
def test_slow_heads_are_cut(pair: Pair, way: str, start: bytes) -> None:
    """A head that comes a byte at a time is cut at the time-out for heads, first or later on its connection."""
    done = threading.Event()
    with pair.ways[way]() as sock:
        begun_s = time.monotonic()
        sock.sendall(start)
        # TLS sockets are not for two threads at once: there the test itself is the slow writer.
        if isinstance(sock, ssl.SSLSocket):
            answer = _drip_and_read(sock, HEAD_S * 4)
        else:
            thread = threading.Thread(target=_drip, args=(sock, b"a" * 200, 0.1, done))
            thread.start()
            answer = b""
            while piece := _receive(sock):
                answer += piece
            done.set()
            thread.join()
        took_s = time.monotonic() - begun_s
    last = answer[answer.rfind(b"HTTP/1.1 ") :]
    assert status_of(last) == 408, answer
    assert HEAD_S - 0.1 <= took_s <= HEAD_S + 1.5
    assert_untouched(pair)


def _drip_and_read(sock: ssl.SSLSocket, timeout_s: float) -> bytes:
    """Write a byte each tenth of a second and read what comes, until the other side closes."""
    sock.settimeout(0.1)
    answer, end_s = b"", time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        try:
            sock.send(b"a")
            piece = sock.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not piece:
            break
        answer += piece
    return answer


@pytest.mark.parametrize("slow", ["outbound", "inbound"])
def test_readers_that_never_read(pair: Pair, slow: str) -> None:
    """Thirty clients that ask for 16 MB each and read nothing cost either proxy at most 8 MB; others go on being served."""
    pair.app.answers[b"/big"] = Answer(OK + b"content-length: 16777216\r\n\r\n" + bytes(1 << 24))
    for way in pair.ways:
        assert_serves(pair, way)
    before = {}
    for hop in (pair.caller, pair.callee):
        hop.forget_peak()
        before[hop] = hop.rss_bytes
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(pair.ways[slow]())
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: api\r\n\r\n")
        for _ in range(20):
            begun_s = time.monotonic()
            for way in pair.ways:
                assert_serves(pair, way)
            assert time.monotonic() - begun_s < 3
        grown = [(hop.peak_rss_bytes - before[hop]) / 1048576 for hop in before]
    print("30 slow readers,", slow, [f"{one:.1f} MB" for one in grown])  # noqa: T201 - for who looks with -s
    assert max(grown) <= 8

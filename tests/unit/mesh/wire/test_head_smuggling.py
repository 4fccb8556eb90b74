"""The smuggling table: heads that one parser or another lets through, fed to llhttp and then to `validate_head`.

Each row is refused by the two together, or is read in the one way the row states.
"""

import httptools
import pytest

from mesh.wire.head import CHUNKED, HeadError, validate_head, validate_trailers

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
TE = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Side:
    """What a proxy does with requests: parse, and judge each head and its trailers outside the parser's callbacks."""

    def __init__(self) -> None:
        self.target, self.fields, self.body, self.heads = b"", [], b"", []
        self.trailers = None
        self.unjudged = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.target, self.fields, self.trailers = b"", [], None

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        (self.fields if self.trailers is None else self.trailers).append((name, value))

    def on_headers_complete(self) -> None:
        self.trailers = []
        head = self.parser.get_method(), self.target, self.parser.get_http_version(), self.fields
        self.unjudged.append((head, self.trailers))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def feed(self, data: bytes) -> None:
        """Raises ParserRefused or HeadError."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            raise ParserRefusedError from error
        finally:
            heads, self.unjudged = self.unjudged, []
            for head, trailers in heads:
                self.heads.append(validate_head(*head))
                validate_trailers(trailers)


class ParserRefusedError(Exception):
    """llhttp refused it."""


def read(data: bytes) -> Side:
    side = Side()
    side.feed(data)
    return side


REFUSED = {
    "CL+TE": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE+CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "dup CL differing": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "dup CL same": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "CL list 5, 5": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "CL +5": POST + b"Content-Length: +5\r\n\r\nabcde",
    "CL 5_0": POST + b"Content-Length: 1_0\r\n\r\nabcdeabcde",
    "TE: xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE: chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE dup": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": POST + b"Content-Length : 5\r\n\r\nabcde",
    "obs-fold": GET + b"X: a\r\n b\r\n\r\n",
    "obs-fold TE": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF hdrs": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF reqline only": b"GET /x HTTP/1.1\nHost: a\r\n\r\n",
    "HTTP/0.9 by bare LF": b"GET /x\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "bare LF in one hdr": GET + b"X: a\nY: b\r\n\r\n",
    "bare CR in value": GET + b"X: a\rY: b\r\n\r\n",
    "NUL in value": GET + b"X: a\0b\r\n\r\n",
    "chunk ext LF": TE + b"2;\nxx\r\nab\r\n0\r\n\r\n",
    "chunk ext CR": TE + b"2;a\rb\r\nab\r\n0\r\n\r\n",
    "chunk size LF": TE + b"2\nab\r\n0\r\n\r\n",
    "chunk data no CRLF": TE + b"2\r\nabXX0\r\n\r\n",
    "chunk data LF": TE + b"2\r\nab\n0\r\n\r\n",
    "chunk 0x2": TE + b"0x2\r\nab\r\n0\r\n\r\n",
    "chunk ' 2'": TE + b" 2\r\nab\r\n0\r\n\r\n",
    "chunk huge": TE + b"fffffffffffffffff2\r\nab\r\n0\r\n\r\n",
    "trailer CL": TE + b"0\r\nContent-Length: 5\r\n\r\n",
    "trailer TE": TE + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "dup Host": GET + b"Host: b\r\n\r\n",
    "dup Host same": GET + b"host: a\r\n\r\n",
    "Host w/ slash": b"GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
    "empty hdr name": GET + b": x\r\n\r\n",
    "hdr name ()": GET + b"X(y): x\r\n\r\n",
    "ctrl in path": b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in path": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "abs-form of another host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "PRI h2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Both are valid tokens: llhttp knows its own list of methods only. A limit that we state, not a defence.
    "lower method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "100KB header": GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "5000 headers": GET + b"".join(b"X%d: a\r\n" % number for number in range(5000)) + b"\r\n",
    "Upgrade+CL": POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nabcde",
    "Upgrade+TE": POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Connection: content-length": POST + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nabcde",
}


@pytest.mark.parametrize("row", REFUSED)
def test_refused(row: str) -> None:
    """Llhttp or validation refuses it; nothing reaches the application."""
    with pytest.raises((ParserRefusedError, HeadError)):
        read(REFUSED[row])


@pytest.mark.parametrize("row", REFUSED)
def test_refused_byte_by_byte(row: str) -> None:
    """Cut anywhere, it is refused all the same."""
    side = Side()
    with pytest.raises((ParserRefusedError, HeadError)):  # noqa: PT012 - any byte may be the one that tells
        for at in range(len(REFUSED[row])):
            side.feed(REFUSED[row][at : at + 1])


@pytest.mark.parametrize(
    ("data", "length", "body"),
    [
        (b"\r\n\r\n" + GET + b"\r\n", 0, b""),
        (GET + b"Content-Length: 5\r\n\r\nabcde", 5, b"abcde"),
        (TE + b"2;ext=1\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n", CHUNKED, b"ab"),
        (b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 2, b"ab"),
        (b"PURGE http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 0, b""),
    ],
)
def test_read_in_one_way(data: bytes, length: int, body: bytes) -> None:
    """Leading empty lines, a GET with a body, chunk extensions and trailers, HTTP/1.0, absolute form."""
    side = read(data)
    assert [length] == [head.length for head in side.heads]
    assert body == side.body


def test_nothing_is_read_after_close() -> None:
    """The parser stops at a request that closes: what follows is no second request."""
    side = Side()
    with pytest.raises(ParserRefusedError):
        side.feed(GET + b"Connection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [head.keep_alive for head in side.heads] == [False]

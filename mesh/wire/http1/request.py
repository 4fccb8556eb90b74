"""Reading requests: bytes from a client into heads that may be decided from, bodies and ends."""

import re
from typing import Any

import httptools
import msgspec

from mesh.wire.fields import MAX_HEAD_BYTES, HeadError
from mesh.wire.head import ValidHead, validate_head
from mesh.wire.http1.body import BodyReader, Bytes
from mesh.wire.http1.memo import FIELD_COST_BYTES, Memo

TARGET = re.compile(rb"/[!-~]*")
"""A target whose form does not depend on the fields; whether it is a path is `mesh.wire.path`'s to say."""
_LINE = re.compile(rb"([A-Z]{3,20}) (/[!-~]*) HTTP/1\.([01])(?=\r\n)")
_STRICT_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/[0-9]\.[0-9](?=\r\n)")
_MAX_BLANK_LINES = 4


class KnownHead:
    """A head that passed every check, without its target. `is_old`: HTTP/1.0. `derived` is for what its user makes of it once."""

    __slots__ = ("derived", "head", "is_old")

    def __init__(self, head: ValidHead, version: str) -> None:
        self.head = head
        self.is_old = version == "1.0"
        self.derived: Any = None


RequestMemo = Memo[tuple[bytes, bytes, bytes], KnownHead]
"""Known heads by method, minor version and the head's bytes after the request line."""


class Request(msgspec.Struct, gc=False):
    """A request's head; `end` when it has no body. `target` as in `ValidHead`, whose other facts are `known.head`'s."""

    target: bytes
    known: KnownHead
    end: bool


class Body(msgspec.Struct, gc=False):
    """A piece of body; may be a view that is valid only until the caller of `receive` returns. `end`: the last one."""

    data: Bytes
    end: bool = False


class BodyEnd(msgspec.Struct, gc=False):
    """The message's end, when no `Body` told it: it has trailers, or its last piece came before."""

    trailers: list[tuple[bytes, bytes]]


class Malformed(msgspec.Struct, gc=False):
    """The peer broke the protocol: answer `error.status` if nothing was answered yet, and close."""

    error: HeadError


RequestEvent = Request | Body | BodyEnd | Malformed


class RequestReader:
    """The requests of one connection, one at a time. `has_more` tells that bytes wait for `next_message`."""

    __slots__ = ("_body", "_failed", "_is_between", "_memo", "_rest")

    def __init__(self, memo: RequestMemo) -> None:
        self._memo = memo
        self._rest = b""
        self._body: BodyReader | None = None
        self._is_between = True
        self._failed = False

    @property
    def has_more(self) -> bool:
        """Whether bytes of a next message wait."""
        return bool(self._rest)

    @property
    def is_idle(self) -> bool:
        """Whether no message has begun."""
        return self._is_between and not self._rest

    def receive_whole(self, data: bytes) -> Request | None:
        """The fast way for the common case: `data` is just one request without a body, whose fields were seen before.

        None when it is anything else; then nothing has happened, and `receive` is to be called.
        """
        if not self._is_between or self._rest or self._failed:
            return None
        line = _LINE.match(data)
        if line is None or data.find(b"\r\n\r\n") != len(data) - 4:
            return None
        method, target, minor = line.groups()
        known = self._memo.recent.get((method, minor, data[line.end() :]))
        if known is None or known.head.length or len(data) > MAX_HEAD_BYTES:
            return None
        self._is_between = False
        return Request(target, known, True)  # noqa: FBT003 - the hot path

    def receive(self, data: Bytes) -> list[RequestEvent]:
        """What the next bytes mean, up to the end of the running message."""
        if self._failed:
            return []
        try:
            if self._body is not None:
                return self._read_body(data)
            if not self._is_between:
                if len(self._rest) + len(data) > 2 * MAX_HEAD_BYTES + 256 * 1024:
                    raise HeadError(400, "too much was sent ahead")  # noqa: TRY301 - caught below, where every violation ends
                self._rest += data
                return []
            return self._read_head(self._rest + data if self._rest else bytes(data))
        except HeadError as error:
            self._failed = True
            return [Malformed(error)]

    def finish_message(self) -> bool:
        """The running message was answered; returns whether bytes of a next one wait for `next_message`."""
        self._is_between = True
        self._body = None
        return bool(self._rest)

    def next_message(self) -> list[RequestEvent]:
        """The message before was answered: go on with what waits."""
        self.finish_message()
        if not self._rest:
            return []
        rest, self._rest = self._rest, b""
        return self.receive(rest)

    def take_rest(self) -> bytes:
        """What was sent after the head of an upgrade: it belongs to the tunnel."""
        rest, self._rest = self._rest, b""
        return rest

    def _read_head(self, data: bytes) -> list[RequestEvent]:
        end = data.find(b"\r\n\r\n")
        if data[:1] in {b"\r", b"\n"}:
            data, end = _skip_blank(data)
        if end < 0:
            check_unfinished(data)
            self._rest = data
            return []
        if end + 4 > MAX_HEAD_BYTES:
            raise HeadError(431, f"the head is larger than {MAX_HEAD_BYTES} bytes")
        target, known = self._judge(data, end + 4)
        length = known.head.length
        self._is_between = False
        if length == 0:
            self._rest = data[end + 4 :]
            return [Request(target, known, end=True)]
        self._rest = b""
        self._body = BodyReader(length)
        events: list[RequestEvent] = [Request(target, known, end=False)]
        if len(data) > end + 4:
            try:
                events += self._read_body(memoryview(data)[end + 4 :])
            except HeadError as error:
                self._failed = True
                events.append(Malformed(error))
        return events

    def _judge(self, data: bytes, size: int) -> tuple[bytes, KnownHead]:
        line = _LINE.match(data)
        if line is None:
            # An unusual request line (absolute form, OPTIONS *): judged as a whole, not remembered. llhttp takes more
            # spaces than one, and a line without version.
            if _STRICT_LINE.match(data) is None:
                raise HeadError(400, "the request line is malformed")
            method, target, version, fields = parse_request(data[:size])
            head = validate_head(method, target, version, fields)
            return head.target, KnownHead(head, version)
        method, target, minor = line.groups()
        key = (method, minor, data[line.end() : size])
        known = self._memo.get(key)
        if known is None:
            method, target, version, fields = parse_request(data[:size])
            known = KnownHead(validate_head(method, b"/", version, fields), version)
            self._memo.put(key, known, 4 * size + FIELD_COST_BYTES * len(fields))
        return target, known

    def _read_body(self, data: Bytes) -> list[RequestEvent]:
        body = self._body
        assert body is not None
        pieces, used = body.read(data)
        events: list[RequestEvent] = [*body_events(body, pieces)]
        if body.is_done:
            self._body = None
            self._rest = bytes(data[used:])
        return events


def body_events(body: BodyReader, pieces: list[Bytes]) -> list[Body | BodyEnd]:
    """The events of what was read of a body."""
    events: list[Body | BodyEnd] = [Body(piece) for piece in pieces if len(piece)]
    if body.is_done:
        if events and not body.trailers:
            events[-1].end = True  # type: ignore[union-attr]
        else:
            events.append(BodyEnd(body.trailers))
    return events


def _skip_blank(data: bytes) -> tuple[bytes, int]:
    """A few empty lines before a request are skipped (RFC 9112 2.2)."""
    for _ in range(_MAX_BLANK_LINES):
        data = data.removeprefix(b"\r\n")
    if data[:1] in {b"\r", b"\n"} and data != b"\r":
        raise HeadError(400, "the request starts with empty lines")
    return data, data.find(b"\r\n\r\n")


def check_unfinished(data: bytes) -> None:
    """Refuse what cannot become a head any more, without waiting for its end.

    Raises:
        HeadError: 431 when it is too long, 400 for a line end that is not CRLF.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise HeadError(431, f"the head is larger than {MAX_HEAD_BYTES} bytes")
    check_line_ends(data.removesuffix(b"\r"))


def check_line_ends(data: bytes) -> None:
    """Every CR and every LF stands in a CRLF.

    Raises:
        HeadError: 400.
    """
    pairs = data.count(b"\r\n")
    if data.count(b"\n") != pairs or data.count(b"\r") != pairs:
        raise HeadError(400, "a line of the head does not end in CRLF")


class _Collector:
    """What llhttp calls."""

    __slots__ = ("fields", "is_complete", "target")

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.is_complete = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def parse_request(head: bytes) -> tuple[bytes, bytes, str, list[tuple[bytes, bytes]]]:
    """Method, target, version and fields of one whole request head, by llhttp. To be judged by `validate_head`.

    Raises:
        HeadError: 400.
    """
    check_line_ends(head)
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise HeadError(400, f"the head is malformed: {error}") from error
    if not collector.is_complete:
        raise HeadError(400, "the head is malformed")
    return parser.get_method(), collector.target, parser.get_http_version(), collector.fields

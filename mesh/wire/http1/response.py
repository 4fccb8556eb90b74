"""Reading responses of the application or of a peer that is not Linkspan: heads, bodies, ends."""

import re
from typing import Any

import httptools
import msgspec

from mesh.wire.fields import MAX_HEAD_BYTES, HeadError
from mesh.wire.head import ValidResponse, validate_response
from mesh.wire.http1.body import BodyReader, Bytes
from mesh.wire.http1.memo import FIELD_COST_BYTES, Memo
from mesh.wire.http1.request import Body, BodyEnd, Malformed, body_events, check_line_ends

_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")
_MAX_INTERIM = 16


class KnownResponse:
    """A response head that passed every check. `derived` is for what its user makes of it once."""

    __slots__ = ("derived", "head")

    def __init__(self, head: ValidResponse) -> None:
        self.head = head
        self.derived: Any = None


ResponseMemo = Memo[tuple[bool, bytes], KnownResponse]
"""Known heads by whether the request was HEAD (which alone changes how an answer is read) and all of the head's bytes."""


class Response(msgspec.Struct, gc=False):
    """A response's head; `end` when it has no body. Interim ones (1xx but 101) come before the final one."""

    known: KnownResponse
    end: bool


ResponseEvent = Response | Body | BodyEnd | Malformed


class ResponseReader:
    """The responses of one connection. Say `expect` before each request; what comes unasked is malformed."""

    __slots__ = ("_body", "_failed", "_interim", "_memo", "_method", "_rest", "is_done")

    def __init__(self, memo: ResponseMemo) -> None:
        self._memo = memo
        self._rest = b""
        self._method = b""
        self._body: BodyReader | None = None
        self._interim = 0
        self._failed = False
        self.is_done = True
        """Whether the expected response has ended (or none is expected)."""

    def expect(self, method: bytes) -> None:
        """The next response answers a request of `method`."""
        self._method = method
        self._body = None
        self._interim = 0
        self.is_done = False

    def receive_whole(self, data: memoryview) -> tuple[KnownResponse, memoryview] | None:
        """The fast way for the common case: `data` is just one whole answer whose head was seen before, and its body.

        None when it is anything else; then nothing has happened, and `receive` is to be called.
        """
        if self.is_done or self._rest or self._body is not None or self._failed:
            return None
        head, mark, _ = bytes(data).partition(b"\r\n\r\n")
        if not mark:
            return None
        known = self._memo.recent.get((False, head))
        if known is None or self._method == b"HEAD":
            return None
        body = data[len(head) + 4 :]
        if known.head.length != len(body) or known.head.status < 200:
            return None
        self.is_done = True
        return known, body

    def receive(self, data: Bytes) -> list[ResponseEvent]:
        """What the next bytes mean."""
        if self._failed:
            return []
        try:
            return self._receive(data)
        except HeadError as error:
            self._failed = True
            return [Malformed(error if error.status == 502 else HeadError(502, error.reason))]

    def receive_eof(self) -> list[ResponseEvent]:
        """The connection ended: that ends a body without length, and breaks any other."""
        if self._failed or self.is_done:
            return []
        if self._body is not None and self._body.ends_with_connection:
            self.is_done = True
            return [BodyEnd([])]
        self._failed = True
        return [Malformed(HeadError(502, "the connection ended before the answer did"))]

    def take_rest(self) -> bytes:
        """What came after a 101: it belongs to the tunnel."""
        rest, self._rest = self._rest, b""
        return rest

    def _receive(self, data: Bytes) -> list[ResponseEvent]:
        if self.is_done:
            raise HeadError(502, "bytes came that no request asked for")
        if self._body is not None:
            return self._read_body(data)
        events: list[ResponseEvent] = []
        rest: bytes = self._rest + data if self._rest else bytes(data)
        while rest and not self._is_in_body():
            end = rest.find(b"\r\n\r\n")
            if end < 0 or end + 4 > MAX_HEAD_BYTES:
                if len(rest) > MAX_HEAD_BYTES:
                    raise HeadError(502, "the answer's head is too large")
                check_line_ends(rest.removesuffix(b"\r"))
                self._rest = rest
                return events
            response = self._judge(rest[: end + 4])
            events.append(response)
            rest = rest[end + 4 :]
        self._rest = b""
        if rest and self._is_in_body() and not self.is_done:
            return self._and_body(events, rest)
        if rest:
            if events and isinstance(events[-1], Response) and events[-1].known.head.status == 101:
                self._rest = rest
            else:
                self._failed = True
                events.append(Malformed(HeadError(502, "bytes came after the answer's end")))
        return events

    def _is_in_body(self) -> bool:
        return self._body is not None or self.is_done

    def _and_body(self, events: list[ResponseEvent], rest: bytes) -> list[ResponseEvent]:
        """The body's first bytes after its head; an error in them comes after what was read before."""
        try:
            events += self._read_body(memoryview(rest))
        except HeadError as error:
            self._failed = True
            events.append(Malformed(HeadError(502, error.reason)))
        return events

    def _judge(self, head: bytes) -> Response:
        key = (self._method == b"HEAD", head[:-4])
        known = self._memo.get(key)
        if known is None:
            if not _LINE.fullmatch(head, 0, head.find(b"\r\n")):
                raise HeadError(502, "the answer's status line is malformed")
            status, version, fields = parse_response(head)
            known = KnownResponse(validate_response(status, version, fields, self._method))
            self._memo.put(key, known, 4 * len(head) + FIELD_COST_BYTES * len(fields))
        status = known.head.status
        if status < 200 and status != 101:
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise HeadError(502, "too many interim answers")
            return Response(known, end=False)
        if known.head.length == 0:
            self.is_done = True
        else:
            self._body = BodyReader(known.head.length)
        return Response(known, end=self.is_done)

    def _read_body(self, data: Bytes) -> list[ResponseEvent]:
        body = self._body
        assert body is not None
        pieces, used = body.read(data)
        events: list[ResponseEvent] = [*body_events(body, pieces)]
        if body.is_done:
            self.is_done = True
            if used < len(data):
                self._failed = True
                events.append(Malformed(HeadError(502, "bytes came after the answer's end")))
        return events


class _Collector:
    """What llhttp calls."""

    __slots__ = ("fields", "is_complete")

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def parse_response(head: bytes) -> tuple[int, str, list[tuple[bytes, bytes]]]:
    """Status, version and fields of one whole response head, by llhttp. To be judged by `validate_response`.

    Raises:
        HeadError: 502.
    """
    check_line_ends(head)
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise HeadError(502, f"the answer's head is malformed: {error}") from error
    if not collector.is_complete:
        raise HeadError(502, "the answer's head is malformed")
    return parser.get_status_code(), parser.get_http_version(), collector.fields

"""Judged heads in neutral form: fields that may go on, and their encodings for HTTP/1 and for the trunk, made when first asked.

A form is shared by every message with the same fields, so it must never be changed once made.
"""

import itertools
import random

from mesh.decide.deadline import remaining_s
from mesh.wire.fields import Fields, HeadError, strip_hop_by_hop, strip_trust_fields
from mesh.wire.head import CHUNKED, ValidHead, ValidResponse, validate_trunk_head, validate_trunk_response
from mesh.wire.http1.memo import FIELD_COST_BYTES, Memo
from mesh.wire.http1.request import TARGET, KnownHead
from mesh.wire.http1.response import KnownResponse
from mesh.wire.http1.write import STATUS_LINES, field_lines
from mesh.wire.trace import TRACEPARENT, TRACESTATE, is_begun_trace, parse_traceparent
from mesh.wire.trunk_frames import OpenedRequest, TrunkError, decode_fields, encode_fields


class RequestForm:
    """What goes on of a request's head: no connection fields, no trust fields, no deadline (it is told anew at each hop).

    `length` is the body's or `CHUNKED`; `left_s` what the caller's own deadline field leaves; `trace` a valid
    traceparent among the fields, else empty (then one is begun).
    """

    __slots__ = (
        "_block",
        "_lines",
        "expect_continue",
        "fields",
        "host",
        "left_s",
        "length",
        "method",
        "trace",
        "upgrade",
    )

    def __init__(self, head: ValidHead, fields: Fields) -> None:
        self.method = head.method
        self.host = head.host
        self.length = head.length
        self.upgrade = head.upgrade
        self.expect_continue = head.expect_continue
        self.left_s = remaining_s(head.fields)
        traces = [value for name, value in fields if name == TRACEPARENT]
        self.trace = traces[0] if len(traces) == 1 and parse_traceparent(traces[0]) is not None else b""
        if not self.trace:
            fields = [field for field in fields if field[0] not in {TRACEPARENT, TRACESTATE}]
        if head.expect_continue:
            # This hop answers it: the next is asked without.
            fields = [field for field in fields if field[0] != b"expect"]
        self.fields = fields
        self._lines: bytes | None = None
        self._block: bytes | None = None

    @property
    def lines(self) -> bytes:
        """The fields as HTTP/1 lines, with the framing of the body and a wanted upgrade."""
        if self._lines is None:
            self._lines = request_lines(self.fields, self.length, self.upgrade)
        return self._lines

    @property
    def block(self) -> bytes:
        """The fields as a trunk's block."""
        if self._block is None:
            self._block = request_block(self.fields, self.upgrade)
        return self._block


def request_lines(fields: Fields, length: int, upgrade: bytes) -> bytes:
    """Request fields as HTTP/1 lines, with the body's framing."""
    lines = field_lines(fields)
    if length == CHUNKED:
        lines += b"transfer-encoding: chunked\r\n"
    if upgrade:
        lines += b"connection: upgrade\r\nupgrade: %b\r\n" % upgrade
    return lines


def request_block(fields: Fields, upgrade: bytes) -> bytes:
    """Request fields as a trunk's block."""
    return encode_fields([*fields, (b"upgrade", upgrade)] if upgrade else fields)


class AnswerForm:
    """What goes on of a response's head. `length` is the body's, `CHUNKED` or `UNTIL_CLOSE`; `is_interim` before the final one.

    `is_whole`: it came without a length and without a body, so that HTTP/1 must be told so.
    """

    __slots__ = ("_adds_length", "_block", "_lines", "_text", "fields", "is_interim", "is_upgrade", "length", "status")

    def __init__(self, head: ValidResponse, *, is_whole: bool = False) -> None:
        self.status = head.status
        self.length = 0 if is_whole else head.length
        self.is_upgrade = head.status == 101
        self.is_interim = head.status < 200 and not self.is_upgrade
        fields = strip_hop_by_hop(head.fields)
        if self.is_upgrade:
            fields += [field for field in head.fields if field[0] == b"upgrade"]
        self.fields: Fields = strip_trust_fields(fields)
        self._adds_length = is_whole
        self._lines: bytes | None = None
        self._block: bytes | None = None
        self._text: bytes | None = None

    def with_fields(self, fields: Fields) -> "AnswerForm":
        """The same head with edited fields."""
        form = AnswerForm.__new__(AnswerForm)
        for name in ("status", "length", "is_upgrade", "is_interim", "_adds_length"):
            setattr(form, name, getattr(self, name))
        form.fields = fields
        form._lines = form._block = form._text = None  # noqa: SLF001 - its own class
        return form

    @property
    def lines(self) -> bytes:
        """The fields as HTTP/1 lines, without framing by chunks."""
        if self._lines is None:
            lines = field_lines(self.fields)
            if self.is_upgrade:
                lines += b"connection: upgrade\r\n"
            elif self._adds_length:
                lines += b"content-length: 0\r\n"
            self._lines = lines
        return self._lines

    @property
    def block(self) -> bytes:
        """The fields as a trunk's block."""
        if self._block is None:
            self._block = encode_fields(self.fields)
        return self._block

    @property
    def text(self) -> bytes:
        """The whole HTTP/1 head of an answer of known length on a connection that stays."""
        if self._text is None:
            self._text = b"%b%b\r\n" % (STATUS_LINES[self.status], self.lines)
        return self._text


_TRACE_PREFIX = b"%016x" % (random.getrandbits(64) or 1)
_trace_numbers = itertools.count(random.getrandbits(40) + 1)


def begin_trace() -> bytes:
    """A traceparent for a request without one, unsampled: random by process, numbered within it."""
    number = next(_trace_numbers)
    return b"00-%b%016x-%016x-00" % (_TRACE_PREFIX, number, number)


def request_form(known: KnownHead) -> RequestForm:
    """The form of a request read as HTTP/1, made once for all with the same fields."""
    form = known.derived
    if form is None:
        form = known.derived = _request_form(known.head)
    assert isinstance(form, RequestForm)
    return form


def _request_form(head: ValidHead) -> RequestForm:
    # The deadline field is a trust field too: it is read before it is dropped.
    return RequestForm(head, strip_trust_fields(strip_hop_by_hop(head.fields)))


def _trunk_form(head: ValidHead, *, end: bool) -> RequestForm:
    if end and head.length > 0:
        raise HeadError(400, "the request ends before the body that it announces")
    form = _request_form(head)
    if end:
        form.length = 0
    return form


def answer_form(known: KnownResponse) -> AnswerForm:
    """The form of a response read as HTTP/1, made once for all with the same fields."""
    form = known.derived
    if form is None:
        form = known.derived = AnswerForm(known.head)
    assert isinstance(form, AnswerForm)
    return form


def _request_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    try:
        return decode_fields(block)
    except TrunkError as error:
        raise HeadError(400, error.reason) from error


class TrunkForms:
    """Forms of heads that come over trunks, remembered by their field block."""

    def __init__(self) -> None:
        self._requests: Memo[tuple[bytes, bool, bytes], RequestForm] = Memo()
        self._answers: Memo[tuple[int, bool, bool, bytes], AnswerForm] = Memo()

    def request(self, opened: OpenedRequest, *, end: bool) -> tuple[bytes, RequestForm]:
        """Target and form of a request; `end`: no body follows.

        Raises:
            HeadError: the head may not pass, or its block is malformed.
        """
        method, target = opened.method, opened.target
        if opened.trace and not is_begun_trace(opened.trace):
            # It becomes a line of the head: a CR or LF in it would be a request of the peer's own making.
            raise HeadError(400, "the trace beside the head is malformed")
        if not TARGET.fullmatch(target):
            head = validate_trunk_head(method, target, _request_fields(opened.block))
            return head.target, _trunk_form(head, end=end)
        key = (method, end, opened.block)
        form = self._requests.recent.get(key) or self._requests.get(key)
        if form is None:
            form = _trunk_form(validate_trunk_head(method, b"/", _request_fields(opened.block)), end=end)
            self._requests.put(key, form, 4 * len(opened.block) + FIELD_COST_BYTES * len(form.fields))
        return target, form

    def answer(self, status: int, block: bytes, method: bytes, *, end: bool) -> AnswerForm:
        """The form of a response to a request of `method`; `end`: no body follows.

        Raises:
            HeadError: the head may not pass.
            TrunkError: its block is malformed.
        """
        key = (status, end, method == b"HEAD", block)
        form = self._answers.recent.get(key) or self._answers.get(key)
        if form is None:
            head = validate_trunk_response(status, decode_fields(block), method)
            if end and head.length > 0:
                raise HeadError(502, "the peer's answer ends before the body that it announces")
            form = AnswerForm(head, is_whole=end and head.length == CHUNKED)
            self._answers.put(key, form, 4 * len(block) + FIELD_COST_BYTES * len(form.fields))
        return form

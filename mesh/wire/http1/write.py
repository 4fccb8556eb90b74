"""Writing heads of HTTP/1.1. Only fields that passed `mesh.wire.head` may come here: nothing is escaped, nothing can be."""

from http import HTTPStatus

from mesh.wire.fields import Fields

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

STATUS_LINES = tuple(b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"")) for status in range(600))
"""By status code."""


def field_lines(fields: Fields) -> bytes:
    """The fields as lines, each with its CRLF."""
    return b"%b\r\n" % b"\r\n".join(map(b": ".join, fields)) if fields else b""


def request_head(method: bytes, target: bytes, lines: bytes) -> bytes:
    """A whole request head; `lines` from `field_lines`."""
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines)


def response_head(status: int, lines: bytes) -> bytes:
    """A whole response head; `lines` from `field_lines`."""
    return b"%b%b\r\n" % (STATUS_LINES[status], lines)


def plain_answer(status: int, text: str, *, close: bool, is_head: bool = False) -> bytes:
    """A whole response of the proxy's own, as text. `text` is ours, never a client's bytes."""
    body = f"{text}\n".encode()
    head = b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nserver: linkspan\r\n%b\r\n" % (
        STATUS_LINES[status],
        len(body),
        b"connection: close\r\n" if close else b"",
    )
    return head if is_head else head + body

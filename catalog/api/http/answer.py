"""Answers: a status, a body and Consul's headers.

Values and their encoding only; nothing here knows a socket. Index headers are never 0, since clients would spin.
"""

from typing import Any

import msgspec

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

_ENCODER = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True):
    """What goes back: `headers` are those beside Content-Type and Content-Length."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Meta(msgspec.Struct, frozen=True):
    """What a read's headers say: the index of its result, how it was read, by which machinery, and if all of it is there."""

    index: int
    consistency: str = "leader"
    streaming: bool = False
    cached: bool = False
    filtered: bool = False


def json_answer(value: Any, meta: Meta | None = None, *, pretty: bool = False, status: int = 200) -> Answer:
    """A JSON answer; with `meta` it carries the headers of a read."""
    body = _ENCODER.encode(value)
    if pretty:
        body = msgspec.json.format(body, indent=4) + b"\n"
    return Answer(status, body, JSON, () if meta is None else read_headers(meta))


def text_answer(text: str, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """A plain text answer, as Consul gives errors."""
    return Answer(status, text.encode(), TEXT, headers)


def read_headers(meta: Meta) -> tuple[tuple[bytes, bytes], ...]:
    """Consul's headers of a read (reference: response headers). One catalog: it is its own leader, and never stale."""
    headers: tuple[tuple[bytes, bytes], ...] = (
        (b"x-consul-index", b"%d" % max(1, meta.index)),
        (b"x-consul-knownleader", b"true"),
        (b"x-consul-lastcontact", b"0"),
        (b"x-consul-effective-consistency", meta.consistency.encode()),
        (b"x-consul-query-backend", b"streaming" if meta.streaming else b"blocking-query"),
    )
    if meta.filtered:
        headers = (*headers, (b"x-consul-results-filtered-by-acls", b"true"))
    # Every answer is computed anew, so that a cache that is asked for always missed.
    return (*headers, (b"x-cache", b"MISS"), (b"age", b"0")) if meta.cached else headers

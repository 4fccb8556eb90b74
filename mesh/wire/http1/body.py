"""Bodies: where one ends (length, chunks, end of connection) and how one is written (RFC 9112 6 and 7).

It must never let a body run past its announced length: on a kept connection that would be the next request.
"""

import re

from mesh.wire.fields import HeadError, validate_trailers
from mesh.wire.head import CHUNKED, UNTIL_CLOSE

Bytes = bytes | bytearray | memoryview

MAX_TRAILER_BYTES = 8 * 1024
_MAX_SIZE_LINE_BYTES = 256
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")

LAST_CHUNK = b"0\r\n\r\n"


class BodyError(Exception):
    """A body does not fit what its head announced; `is_long` tells more from less."""

    def __init__(self, *, is_long: bool) -> None:
        super().__init__(f"the body is {'longer' if is_long else 'shorter'} than its head announced")
        self.is_long = is_long


class BodyReader:
    """Reads one body of `length` bytes (or `CHUNKED`, `UNTIL_CLOSE`). `is_done` once its end was read."""

    __slots__ = ("_left", "_line", "_state", "is_done", "trailers")

    _SIZE, _DATA, _AFTER_DATA, _TRAILERS, _COUNTED, _CLOSE = range(6)

    def __init__(self, length: int) -> None:
        self._left = max(length, 0)
        self._line = b""
        self._state = {CHUNKED: self._SIZE, UNTIL_CLOSE: self._CLOSE}.get(length, self._COUNTED)
        self.is_done = length == 0
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection ends it."""
        return self._state == self._CLOSE

    def read(self, data: Bytes) -> tuple[list[Bytes], int]:
        """The pieces of body in `data`, and how much of it was used (all of it unless the body is done).

        Raises:
            HeadError: 400: the chunks are malformed.
        """
        if self._state == self._COUNTED:
            piece = data[: self._left] if len(data) > self._left else data
            self._left -= len(piece)
            self.is_done = not self._left
            return [piece], len(piece)
        if self._state == self._CLOSE:
            return [data], len(data)
        return self._read_chunks(data)

    def _read_chunks(self, data: Bytes) -> tuple[list[Bytes], int]:
        pieces: list[Bytes] = []
        at, size = 0, len(data)
        while at < size and not self.is_done:
            if self._state == self._DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = self._AFTER_DATA
                continue
            line, at = self._read_line(data, at)
            if line is not None:
                self._on_line(line)
        return pieces, at

    def _read_line(self, data: Bytes, at: int) -> tuple[bytes | None, int]:
        """One line without CRLF, or None if its end is not here yet; strict: only CRLF ends it."""
        limit = MAX_TRAILER_BYTES if self._state == self._TRAILERS else _MAX_SIZE_LINE_BYTES
        held = len(self._line)
        window = self._line + bytes(data[at : at + limit + 2 - held])
        end = window.find(b"\n")
        head = window if end < 0 else window[:end]
        if b"\r" in head[:-1] or (end >= 0 and head[-1:] != b"\r"):
            raise HeadError(400, "a line of the chunked body does not end in CRLF")
        if end < 0:
            if len(window) >= limit + 2:
                raise HeadError(400, "a line of the chunked body is too long")
            self._line = window
            return None, len(data)
        self._line = b""
        return head[:-1], at + end + 1 - held

    def _on_line(self, line: bytes) -> None:
        if self._state == self._SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise HeadError(400, "a chunk's size is malformed")
            self._left = int(match[1], 16)
            self._state = self._DATA if self._left else self._TRAILERS
        elif self._state == self._AFTER_DATA:
            if line:
                raise HeadError(400, "a chunk is longer than its size")
            self._state = self._SIZE
        elif line:
            match = _TRAILER_LINE.fullmatch(line)
            self._left += len(line)
            if match is None or self._left > MAX_TRAILER_BYTES:
                raise HeadError(400, "the trailers are malformed or too long")
            self.trailers.append((match[1], match[2]))
        else:
            self.trailers = validate_trailers(self.trailers)
            self.is_done = True


class BodyWriter:
    """Writes one body: counts it against `length`, or wraps it in chunks (`CHUNKED`), or passes it (`UNTIL_CLOSE`)."""

    __slots__ = ("_is_chunked", "_left")

    def __init__(self, length: int) -> None:
        self._is_chunked = length == CHUNKED
        self._left = length if length >= 0 else -1

    def write(self, data: Bytes) -> Bytes:
        """The bytes to write for a piece of body.

        Raises:
            BodyError: it runs past the announced length; nothing of it may be written.
        """
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), bytes(data)) if data else b""
        if self._left >= 0:
            if len(data) > self._left:
                raise BodyError(is_long=True)
            self._left -= len(data)
        return data

    def end(self, trailers: list[tuple[bytes, bytes]] | None = None) -> bytes:
        """The bytes that end the body; trailers only fit a chunked one and are dropped from others.

        Raises:
            BodyError: less was written than announced.
        """
        if self._is_chunked:
            if trailers:
                return b"0\r\n%b\r\n\r\n" % b"\r\n".join(map(b": ".join, trailers))
            return LAST_CHUNK
        if self._left > 0:
            raise BodyError(is_long=False)
        return b""

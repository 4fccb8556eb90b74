"""A peer with a certificate that writes trunk frames of its own making: it keeps to no rule that it is not told to.

It must never share code with the trunk under test beyond its constants.
"""

import select
import ssl
import struct
from typing import Self

from mesh.identity.leaf import Leaf
from mesh.model.snapshot import Roots
from mesh.wire.trunk_frames import ALPN, GOAWAY, HEADER_BYTES, OPEN
from tests.lab.mesh_pair import dial_mesh

END, MORE, BODY = 1, 2, 4
WELL = ((b"host", b"api"),)


def frame(stream: int, kind: int, flags: int = 0, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame; `length` is what its header says when that is not the truth."""
    return struct.pack("!IBBH", stream, kind, flags, len(payload) if length is None else length) + payload


def block(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """A field block."""
    parts = [part for field in fields for part in field]
    return struct.pack(f"!B{len(parts)}H", len(fields), *map(len, parts)) + b"".join(parts)


def opening(
    method: bytes = b"GET",
    target: bytes = b"/",
    fields: tuple[tuple[bytes, bytes], ...] = WELL,
    *,
    trace: bytes = b"",
    body: bytes = b"",
) -> bytes:
    """The payload of an OPEN for HTTP."""
    encoded = block(fields)
    lengths = struct.pack("!BIBHBH", 1, 0, len(method), len(target), len(trace), len(encoded))
    return lengths + method + target + trace + encoded + body


def request(stream: int, flags: int = END, **parts: object) -> bytes:
    """An OPEN frame for HTTP; `parts` as of `opening`."""
    return frame(stream, OPEN, flags, opening(**parts))  # type: ignore[arg-type]


class TrunkPeer:
    """One trunk to a proxy. Use as a context manager."""

    def __init__(self, port: int, leaf: Leaf, roots: Roots) -> None:
        self.sock: ssl.SSLSocket = dial_mesh(port, leaf, roots, ALPN)
        self.sock.settimeout(0)
        self.is_closed = False
        self._inbox = bytearray()
        self.frames: list[tuple[int, int, int, bytes]] = []
        """What came: stream, kind, flags, payload. Only the last thousand are kept."""
        self.frame_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def goodbye(self) -> tuple[int, str] | None:
        """Code and text of the GOAWAY that came, if one did."""
        for _, kind, _, payload in self.frames:
            if kind == GOAWAY:
                return struct.unpack_from("!II", payload)[1], payload[8:].decode()
        return None

    def pour(self, data: bytes, *, reads: bool = True, timeout_s: float = 10) -> bool:
        """Write all of it, reading what comes meanwhile; False when the proxy closed (or, unread, took no more)."""
        view = memoryview(data)
        while view and not self.is_closed:
            if reads:
                self._read()
            try:
                view = view[self.sock.send(view[:16384]) :]
            except ssl.SSLWantReadError:
                self._wait(read=True, timeout_s=timeout_s)
            except ssl.SSLWantWriteError:
                if not reads:
                    if not select.select([], [self.sock], [], timeout_s)[1]:
                        return False
                else:
                    self._wait(read=True, write=True, timeout_s=timeout_s)
            except OSError:
                self._read()
                self.is_closed = True
        return not self.is_closed

    def _wait(self, *, read: bool = False, write: bool = False, timeout_s: float) -> bool:
        got = select.select([self.sock] if read else [], [self.sock] if write else [], [], timeout_s)
        return bool(got[0] or got[1])

    def _read(self) -> None:
        while not self.is_closed:
            try:
                data = self.sock.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self.is_closed = True
            self._take(data)

    def _take(self, data: bytes) -> None:
        inbox = self._inbox
        inbox += data
        at = 0
        while len(inbox) - at >= HEADER_BYTES:
            stream, kind, flags, length = struct.unpack_from("!IBBH", inbox, at)
            if len(inbox) - at < HEADER_BYTES + length:
                break
            self.frames.append((stream, kind, flags, bytes(inbox[at + HEADER_BYTES : at + HEADER_BYTES + length])))
            self.frame_count += 1
            at += HEADER_BYTES + length
        del inbox[:at], self.frames[:-1000]

    def read_until_closed(self, timeout_s: float = 5) -> tuple[int, str] | None:
        """Read until the proxy closes; its goodbye. None also when it did not close in time."""
        while not self.is_closed:
            if not self._wait(read=True, timeout_s=timeout_s):
                return None
            self._read()
        return self.goodbye

    def answer(self, stream: int, kind: int, timeout_s: float = 5) -> tuple[int, bytes] | None:
        """Flags and payload of the first frame of that stream and kind; None when none comes."""
        seen = 0
        while True:
            for number, sort, flags, payload in self.frames[seen:]:
                if (number, sort) == (stream, kind):
                    return flags, payload
            seen = len(self.frames) if len(self.frames) < 1000 else 0
            if self.is_closed or not self._wait(read=True, timeout_s=timeout_s):
                return None
            self._read()

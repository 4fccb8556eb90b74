"""Writing to a socket on the ring: pieces collected in a turn leave together, what does not fit waits for room.

It must never end a connection before what waits for it is written.
"""

import fcntl
import socket
import ssl
import sys
import termios
from collections.abc import Callable

from mesh.transport.relay import shut_write
from mesh.transport.ring import READ, WRITE, Ring

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

HIGH_BYTES = 64 * 1024


class SocketOut:
    """The outgoing half of a socket, and its mask in the ring. `on_room` is called when a full one has drained."""

    __slots__ = (
        "_fd",
        "_is_dirty",
        "_mask",
        "_on_broken",
        "_on_room",
        "_parts",
        "_parts_bytes",
        "_ring",
        "_sock",
        "_then",
        "_unsent",
        "_was_full",
        "is_closed",
        "is_ended",
    )

    def __init__(
        self, ring: Ring, sock: socket.socket, on_room: Callable[[], None], on_broken: Callable[[OSError], None]
    ) -> None:
        self._ring = ring
        self._sock = sock
        self._fd = sock.fileno()
        self._on_room = on_room
        self._on_broken = on_broken
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._unsent = memoryview(b"")
        self._mask = READ
        self._is_dirty = False
        self._was_full = False
        self._then: Callable[[], None] | None = None
        self.is_closed = False
        self.is_ended = False
        """Whether the peer was told that no more comes."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the end of the turn."""
        self._parts.append(data)
        self._parts_bytes += len(data)
        if not self._is_dirty:
            self._is_dirty = True
            self._ring.on_turn_end(self.flush)

    def send(self, data: bytes) -> None:
        """Write at once what is the whole of a message; behind what waits if anything does."""
        if self._parts or self._unsent or self.is_closed:
            self.write(data)
            return
        try:
            sent = self._sock.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            self._on_broken(error)
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._watch(self._mask | WRITE)

    @property
    def is_empty(self) -> bool:
        """Whether everything was written."""
        return not self._parts and not self._unsent

    @property
    def has_room(self) -> bool:
        """Whether to go on; after a False, `on_room` comes once it has drained."""
        if len(self._unsent) + self._parts_bytes < HIGH_BYTES:
            return True
        self._was_full = True
        return False

    def read_on(self, on: bool) -> None:
        """Watch for incoming bytes, or not."""
        self._watch(self._mask | READ if on else self._mask & ~READ)

    @property
    def is_reading(self) -> bool:
        """Whether incoming bytes are watched for."""
        return bool(self._mask & READ)

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it."""
        self._is_dirty = False
        if self.is_closed:
            return
        if self._parts:
            parts, self._parts, self._parts_bytes = self._parts, [], 0
            if self._unsent:
                parts.insert(0, bytes(self._unsent))
            data = parts[0] if len(parts) == 1 else b"".join(parts)
        elif self._unsent:
            data = self._unsent  # type: ignore[assignment]
        else:
            return
        self._send(data)

    def _send(self, data: bytes | memoryview) -> None:
        try:
            sent = self._sock.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            self._on_broken(error)
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._watch(self._mask | WRITE)
            return
        if self._unsent:
            self._unsent = memoryview(b"")
        if self._mask & WRITE:
            self._watch(self._mask & ~WRITE)
        if self._was_full:
            self._was_full = False
            self._on_room()
        if self._then is not None and self.is_empty and not self.is_closed:
            self._end()

    def end(self, then: Callable[[], None]) -> None:
        """Tell the peer that no more comes, once everything is written; `then` is called after that, perhaps at once."""
        self.flush()
        self._then = then
        if self.is_empty and not self.is_closed:
            self._end()

    @property
    def untaken_bytes(self) -> int:
        """What was written and the peer has not acknowledged yet, as the kernel counts it (tcp(7), SIOCOUTQ)."""
        return int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _end(self) -> None:
        then, self._then = self._then, None
        if not self.is_ended:
            self.is_ended = True
            shut_write(self._sock)
        if then is not None:
            then()

    def _watch(self, mask: int) -> None:
        if mask != self._mask and not self.is_closed:
            self._mask = mask
            self._ring.modify(self._fd, mask)

    def close(self) -> None:
        """Forget everything; the socket is the owner's to close."""
        self.is_closed = True
        self._then = None
        self._parts = []
        self._unsent = memoryview(b"")

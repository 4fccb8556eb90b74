"""The raw relay: bytes between two connected sockets, both ways, on the ring, with bounds.

At most `buffer_bytes` wait in each direction; a full direction stops reading its source. A side's end of stream is
passed on as a half-close. It never looks at a byte, so it serves the mesh gateway (two plain sockets) and a TCP stream to
a peer that is not Linkspan (one of them TLS).
"""

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable

import msgspec

from mesh.transport.ring import ERROR, HANGUP, READ, WRITE, Ring, Timer

DEFAULT_BUFFER_BYTES = 64 * 1024

_READS_A_CALL = 8
_TLS_RECORD_BYTES = 16 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class RelayEnd(msgspec.Struct, frozen=True):
    """How a relay ended: `closed` (both sides finished), `idle`, `error`, or the reason given to `cut`."""

    reason: str
    bytes_to_right: int
    bytes_to_left: int


def shut_write(sock: socket.socket) -> None:
    """Tell the peer that no more comes, and keep reading: a FIN, on TLS after a close_notify.

    `SSLSocket.shutdown` would drop the TLS layer, so the plain socket's is called.
    """
    with contextlib.suppress(OSError, ValueError):
        if isinstance(sock, ssl.SSLSocket) and not sock.pending():
            with contextlib.suppress(OSError):
                socket.socket.send(sock, _close_notify(sock))
        socket.socket.shutdown(sock, socket.SHUT_WR)


def _close_notify(sock: ssl.SSLSocket) -> bytes:
    """The record that ends our side, not sent yet.

    `SSLSocket.unwrap` writes it and at once reads on for the peer's, dropping what it finds: an answer that comes within those microseconds
    is lost. So it is given a pair of sockets, in which there is nothing to read, in place of the connection for as long as that takes.
    """
    descriptor = sock.fileno()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with near, far:
        kept = os.dup(descriptor)
        try:
            os.dup2(near.fileno(), descriptor, inheritable=False)
            try:
                with contextlib.suppress(ssl.SSLError):
                    sock.unwrap()
            finally:
                os.dup2(kept, descriptor, inheritable=False)
        finally:
            os.close(kept)
        return far.recv(_TLS_RECORD_BYTES)


def reset(sock: socket.socket) -> None:
    """Close at once, dropping what is unsent: the peer sees a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


class Relay:
    """Joins `left` and `right` (connected, non-blocking) until both have ended; owns and closes both.

    `head` are bytes already read from `left`: they go to `right` first. `on_end` is called exactly once. `cut` ends it
    from outside (a revoked intention) with a reset on both sides.
    """

    def __init__(
        self,
        ring: Ring,
        left: socket.socket,
        right: socket.socket,
        *,
        idle_timeout_s: float,
        on_end: Callable[[RelayEnd], None],
        head: bytes = b"",
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    ) -> None:
        self._ring = ring
        self._on_end = on_end
        self._idle_timeout_s = idle_timeout_s
        self._ended = False
        self.last_s = ring.time_s()
        self._left = _Side(self, ring, left, buffer_bytes)
        self._right = _Side(self, ring, right, buffer_bytes)
        self._left.other, self._right.other = self._right, self._left
        self._timer: Timer | None = None
        if idle_timeout_s > 0:
            self._timer = ring.later(self.last_s + idle_timeout_s, self._check_idle)
        self._left.start(b"")
        self._right.start(head)

    @property
    def bytes_to_right(self) -> int:
        """Bytes read from `left`, the `head` included."""
        return self._right.taken_bytes

    @property
    def bytes_to_left(self) -> int:
        """Bytes read from `right`."""
        return self._left.taken_bytes

    def cut(self, reason: str) -> None:
        """End now; both peers see a reset. Idempotent."""
        self._finish(reason, reset)

    def side_changed(self) -> None:
        """A side has read its end or written everything: end when both are through."""
        if self._left.is_done and self._right.is_done:
            self._finish("closed", socket.socket.close)

    def on_failure(self, error: Exception) -> None:  # noqa: ARG002 - the ring has logged it
        """A side's socket failed."""
        self._finish("error", reset)

    def _check_idle(self) -> None:
        deadline_s = self.last_s + self._idle_timeout_s
        if deadline_s <= self._ring.now_s:
            self._finish("idle", socket.socket.close)
        else:
            self._timer = self._ring.later(deadline_s, self._check_idle)

    def _finish(self, reason: str, close: Callable[[socket.socket], None]) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        for side in (self._left, self._right):
            self._ring.remove(side.fd)
            close(side.sock)
        self._on_end(RelayEnd(reason, self.bytes_to_right, self.bytes_to_left))


class _Side:
    """One socket of a relay and the bytes that wait to be written to it."""

    __slots__ = (
        "_chunk_bytes",
        "_is_watched",
        "_mask",
        "_pending",
        "_relay",
        "_ring",
        "fd",
        "has_read_end",
        "is_shut",
        "other",
        "sock",
        "taken_bytes",
    )

    other: "_Side"

    def __init__(self, relay: Relay, ring: Ring, sock: socket.socket, chunk_bytes: int) -> None:
        self._relay = relay
        self._ring = ring
        self._chunk_bytes = chunk_bytes
        self._pending = memoryview(b"")
        self._mask = 0
        self._is_watched = True
        self.sock = sock
        self.fd = sock.fileno()
        self.has_read_end = False
        self.is_shut = False
        self.taken_bytes = 0

    @property
    def is_done(self) -> bool:
        """Nothing more is read from it, and everything for it is written and ended."""
        return self.has_read_end and self.is_shut

    def start(self, head: bytes) -> None:
        self._mask = READ
        self._ring.add(self.fd, self, READ)
        if head:
            self.take(memoryview(head))

    def take(self, data: memoryview) -> None:
        """Write `data` to this side, keeping what does not fit; `data` is not used after the call."""
        self.taken_bytes += len(data)
        try:
            sent = self.sock.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError:
            # The side is gone for writing; the relay has no use for the rest of it.
            self._relay.on_failure(ConnectionResetError())
            return
        if sent < len(data):
            self._pending = memoryview(bytes(data[sent:]))
            self._watch(self._mask | WRITE)
            self.other.pause()

    def pause(self) -> None:
        """Stop reading until the other side has room."""
        self._watch(self._mask & ~READ)

    def resume(self) -> None:
        if not self.has_read_end:
            self._watch(self._mask | READ)

    def end(self) -> None:
        """The other side has ended: pass that on once everything is written."""
        if not self._pending and not self.is_shut:
            self.is_shut = True
            shut_write(self.sock)
            self._relay.side_changed()

    def on_ready(self, mask: int) -> None:
        relay = self._relay
        relay.last_s = self._ring.now_s
        if mask & WRITE and self._pending:
            self._drain()
        if mask & ~WRITE and self._mask & READ:
            self._read()
        elif mask & HANGUP and self.sock.fileno() >= 0:
            if mask & ERROR:
                # A reset while reading is paused: nothing written to this side can arrive any more.
                relay.on_failure(ConnectionResetError())
            else:
                # Both ways have ended, which epoll reports for ever; what was sent before may still wait to be read.
                self._is_watched = False
                self._ring.remove(self.fd)

    def on_failure(self, error: Exception) -> None:
        self._relay.on_failure(error)

    def _drain(self) -> None:
        try:
            sent = self.sock.send(self._pending)
        except _NOT_NOW:
            return
        except OSError as error:
            self._relay.on_failure(error)
            return
        self._pending = self._pending[sent:]
        if not self._pending:
            self._watch(self._mask & ~WRITE)
            if self.other.has_read_end:
                self.end()
            else:
                self.other.resume()

    def _read(self) -> None:
        view = self._ring.view[: self._chunk_bytes]
        for _ in range(_READS_A_CALL):
            try:
                size = self.sock.recv_into(view)
            except _NOT_NOW:
                return
            except ssl.SSLZeroReturnError:
                size = 0  # how TLS says the end when our own side has ended before
            except OSError as error:
                self._relay.on_failure(error)
                return
            if not size:
                self.has_read_end = True
                self._watch(self._mask & ~READ)
                self.other.end()
                self._relay.side_changed()
                return
            self.other.take(view[:size])
            # A short read means the socket is empty; on TLS one read is one record, so a full one asks for another.
            if not self._mask & READ or (size < self._chunk_bytes and size != _TLS_RECORD_BYTES):
                return

    def _watch(self, mask: int) -> None:
        if mask != self._mask and self.sock.fileno() >= 0:
            self._mask = mask
            if self._is_watched:
                self._ring.modify(self.fd, mask)
            elif mask:
                self._is_watched = True
                self._ring.add(self.fd, self, mask)

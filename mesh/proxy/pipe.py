"""A TCP stream: one plain socket joined to one stream of a trunk, both ways, with half-close and bounds.

What the trunk brought and the socket does not take yet is at most the stream's window; what the socket brought waits in the
trunk's queue, and reading stops while that is full. An error of the socket ends this stream only.
"""

import contextlib
import socket
from collections.abc import Callable

from mesh.proxy.link import NOBODY, Link
from mesh.transport.relay import reset
from mesh.transport.ring import READ, WRITE, Ring
from mesh.wire.trunk_events import Bytes, Headed, Stream
from mesh.wire.trunk_frames import HEADER_BYTES, MAX_PAYLOAD_BYTES, Code
from mesh.wire.trunk_outbox import FRAME_BYTES

_READ_FRAMES = 8
_READ_BYTES = _READ_FRAMES * MAX_PAYLOAD_BYTES
"""Whole frames, each of which is a whole TLS record."""
_MUCH_BYTES = 32 * 1024
ELEPHANT_BYTES = 1024 * 1024
"""What a stream has moved when it is given its trunk for itself."""

Ended = Callable[["StreamPipe", str], None]


class StreamPipe:
    """One TCP stream. `ended` is called exactly once, with what went wrong (empty: nothing).

    `received_bytes` came from the socket, `sent_bytes` went to it.
    """

    __slots__ = (
        "_ended",
        "_fd",
        "_gathered",
        "_has_peer_end",
        "_has_socket_end",
        "_idle_timeout_s",
        "_is_bulk",
        "_is_done",
        "_is_heavy",
        "_is_shut",
        "_link",
        "_mask",
        "_pending",
        "_ring",
        "_slots",
        "_sock",
        "_stream",
        "about",
        "deadline_s",
        "received_bytes",
        "sent_bytes",
        "started_s",
    )

    def __init__(self, ring: Ring, link: Link, stream: Stream, idle_timeout_s: float, ended: Ended) -> None:
        self._ring = ring
        self._link = link
        self._stream = stream
        self._ended = ended
        self._sock: socket.socket | None = None
        self._fd = -1
        self._mask = 0
        self._pending = memoryview(b"")
        self._has_peer_end = False
        self._has_socket_end = False
        self._is_shut = False
        self._is_done = False
        self._is_heavy = False
        self._is_bulk = False
        self._slots: list[memoryview] = []
        self._gathered: list[Bytes] = []
        self._idle_timeout_s = idle_timeout_s
        self.about: object = None
        """Whatever its keeper wants to know of it."""
        self.started_s = ring.now_s
        self.deadline_s = ring.now_s + idle_timeout_s
        self.received_bytes = 0
        self.sent_bytes = 0
        stream.owner = self

    def attach(self, sock: socket.socket) -> None:
        """The socket is there: start moving bytes. Owns it from now on."""
        if self._is_done:
            reset(sock)
            return
        self._sock = sock
        self._fd = sock.fileno()
        self._mask = READ
        self._ring.add(self._fd, self, READ)
        if self._pending:
            self._drain()
        elif self._has_peer_end:
            self._shut()

    def cut(self, code: Code, reason: str) -> None:
        """End it now; both ends see a reset. Idempotent."""
        if not self._is_done:
            self._link.reset(self._stream, code)
            self._finish(reason, reset)

    def on_sweep(self, now_s: float) -> None:
        """End it when nothing has moved for long."""
        if self.deadline_s <= now_s:
            self.cut(Code.TIMEOUT, "idle for too long")

    # -- for the ring --

    def on_ready(self, mask: int) -> None:
        if mask & WRITE and self._pending:
            self._drain()
        if mask & ~WRITE and not self._is_done:
            if self._mask & READ:
                self._read()
            elif mask & ~READ:
                self._break("the connection was reset")

    def on_failure(self, error: Exception) -> None:
        self.cut(Code.INTERNAL, f"an error of our own: {error!r}")

    def _read(self) -> None:
        sock, out, stream, link = self._sock, self._link.trunk.out, self._stream, self._link
        assert sock is not None
        in_place = self._is_bulk and link.is_clear and out.can_frame_in_place(stream, _READ_BYTES)
        try:
            if in_place:
                size = sock.recvmsg_into(self._slots or self._make_slots())[0]
            else:
                size = sock.recv_into(self._ring.view, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(f"the connection broke: {error.strerror or error}")
            return
        if not size:
            self._on_socket_end()
            return
        self.received_bytes += size
        self.deadline_s = self._ring.now_s + self._idle_timeout_s
        self._is_bulk = size >= _MUCH_BYTES
        if in_place:
            link.write_frames(self._ring.view[: out.frame_in_place(stream, self._ring.buffer, size)])
            self._weigh()
        else:
            out.send_data(stream, self._ring.view[:size])
            link.touch()
        if not self._is_done and not out.has_room(stream):
            self._watch(self._mask & ~READ)

    def _make_slots(self) -> list[memoryview]:
        """Where a reading's payloads go so that each frame's header fits before it."""
        view = self._ring.view
        self._slots = [
            view[at + HEADER_BYTES : at + FRAME_BYTES] for at in range(0, _READ_FRAMES * FRAME_BYTES, FRAME_BYTES)
        ]
        return self._slots

    def _on_socket_end(self) -> None:
        self._has_socket_end = True
        self._watch(self._mask & ~READ)
        self._link.trunk.out.send_end(self._stream)
        self._link.touch()
        self._maybe_finish()

    def _weigh(self) -> None:
        """A stream that moves megabytes says so, so that others are opened on another trunk."""
        if not self._is_heavy and self._stream.moved_bytes > ELEPHANT_BYTES and not self._is_done:
            self._is_heavy = True
            self._link.elephants += 1

    def _drain(self) -> None:
        assert self._sock is not None
        try:
            sent = self._sock.send(self._pending)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(f"the connection broke: {error.strerror or error}")
            return
        self.sent_bytes += sent
        self._pending = self._pending[sent:]
        self._link.consumed(self._stream, sent)
        if self._pending:
            self._watch(self._mask | WRITE)
        else:
            self._watch(self._mask & ~WRITE)
            if self._has_peer_end:
                self._shut()

    # -- for the link --

    def on_head(self, event: Headed) -> None:
        """Cannot come: the trunk refuses heads on TCP streams."""

    def on_data(self, data: Bytes, *, end: bool) -> None:
        if not self._gathered:
            self._link.gathered.append(self.on_gathered)
        self._gathered.append(data)
        if end:
            self.on_end(b"")

    def on_gathered(self) -> None:
        """Write all that one reading of the trunk brought in one call."""
        pieces, self._gathered = self._gathered, []
        if not pieces or self._is_done:
            return
        self.deadline_s = self._ring.now_s + self._idle_timeout_s
        sock, sent = self._sock, 0
        if sock is not None and not self._pending:
            try:
                sent = sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces)
            except BlockingIOError:
                pass
            except OSError as error:
                self._break(f"the connection broke: {error.strerror or error}")
                return
            self.sent_bytes += sent
            if sent:
                self._link.consumed(self._stream, sent)
                self._weigh()
        if sent < sum(map(len, pieces)):
            self._pending = memoryview(bytes(self._pending) + b"".join(pieces)[sent:])
            if sock is not None:
                self._watch(self._mask | WRITE)

    def on_end(self, block: bytes) -> None:
        del block
        self.on_gathered()
        self._has_peer_end = True
        if self._sock is not None and not self._pending:
            self._shut()

    def on_reset(self, code: int) -> None:
        reasons = {Code.DENIED: "denied by policy", Code.UNREACHABLE: "the application could not be reached"}
        self._finish(reasons.get(code, f"the stream was reset ({code})"), reset)  # type: ignore[call-overload]

    def on_room(self) -> None:
        if not self._has_socket_end:
            self._watch(self._mask | READ)

    # -- ends --

    def _shut(self) -> None:
        if not self._is_shut and self._sock is not None:
            self._is_shut = True
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            self._maybe_finish()

    def _maybe_finish(self) -> None:
        if self._has_socket_end and self._is_shut:
            self._finish("", socket.socket.close)

    def _break(self, reason: str) -> None:
        self._link.reset(self._stream, Code.BROKEN)
        self._finish(reason, reset)

    def _finish(self, reason: str, close: Callable[[socket.socket], None]) -> None:
        if self._is_done:
            return
        self._is_done = True
        self._stream.owner = NOBODY
        if self._is_heavy:
            self._link.elephants -= 1
        sock, self._sock = self._sock, None
        if sock is not None:
            self._ring.remove(self._fd)
            close(sock)
        self._pending = memoryview(b"")
        self._ended(self, reason)

    def _watch(self, mask: int) -> None:
        if mask != self._mask and self._fd >= 0 and not self._is_done:
            self._mask = mask
            self._ring.modify(self._fd, mask)

"""Connections to an HTTP/1 origin (the application on loopback, or a peer that is not Linkspan), kept and used again.

A connection carries one request at a time. One whose answer, or request, did not end cleanly is never used again: what is left
on it would be taken for the next message.
"""

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from mesh.proxy.http.form import AnswerForm, answer_form
from mesh.proxy.http.socket_out import SocketOut
from mesh.transport.ring import READ, WRITE, Ring
from mesh.wire.fields import HeadError
from mesh.wire.http1.body import BodyWriter, Bytes
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import Body, BodyEnd, Malformed
from mesh.wire.http1.response import Response, ResponseEvent, ResponseMemo, ResponseReader

_READ_BYTES = 64 * 1024
_TLS_RECORD_BYTES = 16 * 1024
_READS_A_CALL = 8
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
KEEP_IDLE_S = 4.0
"""Shorter than the keep-alive of common application servers (5 s), so that we close first."""


class OriginUser(Protocol):
    """Whose request a connection carries."""

    def on_origin(self, origin: "OriginConnection") -> None:
        """A connection is there: `send` the request on it."""

    def on_origin_unreachable(self, reason: str) -> None:
        """None could be had; nothing was sent."""

    def on_answer_whole(self, form: AnswerForm, body: Bytes) -> None:
        """The whole answer; `body` is valid only during the call."""

    def on_answer_head(self, form: AnswerForm, *, end: bool) -> None:
        """The answer's head, or an interim one."""

    def on_answer_data(self, data: Bytes, *, end: bool) -> None:
        """A piece of the answer's body; valid only during the call."""

    def on_answer_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        """The answer is complete."""

    def on_origin_broken(self, reason: str, *, is_stale: bool) -> None:
        """The connection broke. `is_stale`: it was a kept one and not a byte of an answer came."""

    def on_origin_room(self) -> None:
        """The origin takes more of the request's body again."""


class OriginConnection:
    """One connection. Owns its socket."""

    __slots__ = (
        "_body_writer",
        "_fd",
        "_has_answer",
        "_has_request_end",
        "_is_tunnel",
        "_keeps",
        "_out",
        "_pool",
        "_reader",
        "_ring",
        "_sock",
        "idle_since_s",
        "is_closed",
        "is_reused",
        "user",
    )

    def __init__(self, ring: Ring, sock: socket.socket, pool: "OriginPool") -> None:
        self._ring = ring
        self._sock = sock
        self._fd = sock.fileno()
        self._pool = pool
        self._reader = ResponseReader(pool.memo)
        self._out = SocketOut(ring, sock, self._on_room, self._on_broken)
        self._body_writer: BodyWriter | None = None
        self._has_answer = False
        self._has_request_end = False
        self._is_tunnel = False
        self._keeps = True
        self.user: OriginUser | None = None
        self.is_closed = False
        self.is_reused = False
        self.idle_since_s = 0.0
        ring.add(self._fd, self, READ)

    def send(self, user: OriginUser, method: bytes, head: bytes, length: int) -> None:
        """Send a request's head; its body of `length` follows by `send_data` and `send_end` unless that is 0."""
        self.user = user
        self._has_answer = False
        self._keeps = True
        self._reader.expect(method)
        self._has_request_end = length == 0
        if length == 0:
            self._body_writer = None
            self._out.send(head)
        else:
            self._body_writer = BodyWriter(length)
            self._out.write(head)

    def send_data(self, data: Bytes, *, end: bool) -> None:
        """Send a piece of the request's body, or of the tunnel.

        Raises:
            BodyError: it runs past the announced length, or ends before it; close the connection.
        """
        if self._is_tunnel:
            self._out.write(bytes(data))
        elif self._body_writer is not None:
            self._out.write(bytes(self._body_writer.write(data)))
        if end:
            self.send_end()

    def send_end(self, trailers: list[tuple[bytes, bytes]] | None = None) -> None:
        """The request is complete.

        Raises:
            BodyError: it is shorter than announced; close the connection.
        """
        if self._is_tunnel:
            self._out.flush()
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_WR)
            return
        if self._body_writer is not None:
            last = self._body_writer.end(trailers)
            self._body_writer = None
            if last:
                self._out.write(last)
        self._has_request_end = True
        self._maybe_release()

    @property
    def has_room(self) -> bool:
        """Whether the origin takes more; after a False `on_origin_room` comes."""
        return self._out.has_room

    def read_on(self, *, on: bool) -> None:
        """Read the answer on, or hold it back."""
        if not self.is_closed:
            self._out.read_on(on=on)

    def on_ready(self, mask: int) -> None:
        if mask & WRITE:
            self._out.flush()
        if mask & ~WRITE and not self.is_closed:
            self._read()

    def on_failure(self, error: Exception) -> None:
        self._break(f"an error of our own: {error!r}")

    def _read(self) -> None:
        view = self._ring.view[:_READ_BYTES]
        for _ in range(_READS_A_CALL):
            try:
                size = self._sock.recv_into(view)
            except _NOT_NOW:
                return
            except OSError as error:
                self._break(f"the connection to the application broke: {error.strerror or error}")
                return
            if not size:
                self._on_eof()
                return
            self._take(view[:size])
            if size != _TLS_RECORD_BYTES or self.is_closed or not self._out.is_reading:
                return

    def _take(self, data: memoryview) -> None:
        if self._is_tunnel:
            if self.user is not None:
                self.user.on_answer_data(data, end=False)
            return
        user = self.user
        if user is None:
            self.close()  # bytes that nobody asked for: never to be taken for an answer
            return
        whole = self._reader.receive_whole(data)
        if whole is not None:
            known, body = whole
            self._keeps = known.head.keep_alive
            user.on_answer_whole(known.derived or answer_form(known), body)
            self._maybe_release()
            return
        for event in self._reader.receive(data):
            self._on_event(event)
            if self.is_closed:
                return
        self._maybe_release()

    def _on_event(self, event: ResponseEvent) -> None:
        user = self.user
        if user is None:
            self.close()
            return
        kind = event.__class__
        if kind is Response:
            self._on_head(user, event)  # type: ignore[arg-type]
        elif kind is Body:
            user.on_answer_data(event.data, end=event.end)  # type: ignore[union-attr]
        elif kind is BodyEnd:
            user.on_answer_end(event.trailers)  # type: ignore[union-attr]
        elif kind is Malformed:
            self._on_malformed(event.error)  # type: ignore[union-attr]

    def _on_head(self, user: OriginUser, response: Response) -> None:
        self._has_answer = True
        head = response.known.head
        form = answer_form(response.known)
        if form.is_interim:
            if form.status != 100:  # a 100 answers our own framing, not the client's wish
                user.on_answer_head(form, end=False)
            return
        self._keeps = head.keep_alive
        self._is_tunnel = form.is_upgrade
        user.on_answer_head(form, end=response.end and not self._is_tunnel)
        if self._is_tunnel and (rest := self._reader.take_rest()):
            user.on_answer_data(rest, end=False)

    def _on_malformed(self, error: HeadError) -> None:
        if self._reader.is_done:
            self.close()  # the answer was complete: only what came after it is bad
        else:
            self._break(error.reason)

    def _on_eof(self) -> None:
        if self._is_tunnel and self.user is not None:
            user = self.user
            self.close()
            user.on_answer_end([])
            return
        self._keeps = False
        for event in self._reader.receive_eof():
            if isinstance(event, BodyEnd) and self.user is not None:
                self.user.on_answer_end(event.trailers)
            else:
                self._break("the application closed the connection before it answered")
                return
        self.close()

    def _maybe_release(self) -> None:
        if self.user is None or self.is_closed or not self._reader.is_done or self._is_tunnel:
            return
        self.user = None
        if self._keeps and self._has_request_end:
            self.is_reused = True
            self._out.read_on(on=True)
            self._pool.put(self)
        else:
            self.close()

    def _on_room(self) -> None:
        if self.user is not None:
            self.user.on_origin_room()

    def _on_broken(self, error: OSError) -> None:
        self._break(f"the connection to the application broke: {error.strerror or error}")

    def _break(self, reason: str) -> None:
        user, self.user = self.user, None
        stale = self.is_reused and not self._has_answer
        self.close()
        if user is not None:
            user.on_origin_broken(reason, is_stale=stale)

    @property
    def sock(self) -> socket.socket:
        """Its socket, to be asked about, never to be used."""
        return self._sock

    def cut(self, reason: str) -> None:
        """Close at once and tell its user. What was sent is not taken back: nothing is tried again for it as for a stale one."""
        self.is_reused = False
        self._break(reason)

    def close(self) -> None:
        """Close. Idempotent; its user is told nothing."""
        if self.is_closed:
            return
        self.is_closed = True
        self.user = None
        self._ring.remove(self._fd)
        self._out.close()
        with contextlib.suppress(OSError):
            self._sock.close()
        self._pool.forget(self)


Dial = Callable[[], Awaitable[socket.socket]]
Start = Callable[..., None]
"""Starts a coroutine function with its arguments."""


class OriginPool:
    """Connections to one origin. `dial` makes a new one, in a coroutine that `start` starts; at most `max_idle` wait, `max_pending` dials run."""

    def __init__(self, ring: Ring, start: Start, dial: Dial, *, max_idle: int, max_pending: int) -> None:
        self._ring = ring
        self._start = start
        self._dial = dial
        self._max_idle = max_idle
        self._max_pending = max_pending
        self._idle: deque[OriginConnection] = deque()
        self._dialling = 0
        self._all: dict[int, OriginConnection] = {}
        self._is_closed = False
        self.memo: ResponseMemo = Memo()

    def acquire(self, user: OriginUser, *, fresh: bool = False) -> None:
        """Get `user` a connection, at once when one is idle; `fresh`: a new one in any case."""
        if self._idle and not fresh:
            user.on_origin(self._idle.pop())
        elif self._dialling >= self._max_pending:
            user.on_origin_unreachable("too many connections are being made already")
        else:
            self._dialling += 1
            self._start(self._connect, user)

    async def _connect(self, user: OriginUser) -> None:
        try:
            sock = await self._dial()
        except OSError as error:
            self._dialling -= 1
            user.on_origin_unreachable(str(error.strerror or error))
            return
        except trio.Cancelled:
            self._dialling -= 1
            raise
        self._dialling -= 1
        if self._is_closed:
            sock.close()
            user.on_origin_unreachable("this proxy is stopping")
            return
        origin = OriginConnection(self._ring, sock, self)
        self._all[id(origin)] = origin
        user.on_origin(origin)
        if origin.user is None and not origin.is_closed:
            origin.close()  # the user had gone meanwhile

    def adopt(self, sock: socket.socket) -> None:
        """Take a connection that was made elsewhere."""
        origin = OriginConnection(self._ring, sock, self)
        self._all[id(origin)] = origin
        self.put(origin)

    def put(self, origin: OriginConnection) -> None:
        """Take an idle connection back."""
        if self._is_closed or len(self._idle) >= self._max_idle:
            origin.close()
            return
        origin.idle_since_s = self._ring.now_s
        self._idle.append(origin)

    def forget(self, origin: OriginConnection) -> None:
        """It is closed."""
        self._all.pop(id(origin), None)
        if not self._all:
            self._idle.clear()
        elif origin in self._idle:
            self._idle.remove(origin)

    def cut(self, find_fault: Callable[[socket.socket], str]) -> list[str]:
        """Break every connection that `find_fault` has a reason against; their users are told it. Returns the reasons."""
        faults = [(origin, find_fault(origin.sock)) for origin in self._all.values()]
        for origin, fault in faults:
            if fault:
                origin.cut(fault)
        return [fault for _, fault in faults if fault]

    def on_sweep(self, now_s: float) -> None:
        """Close what has been idle for long."""
        while self._idle and self._idle[0].idle_since_s < now_s - KEEP_IDLE_S:
            self._idle.popleft().close()

    def on_failure(self, error: Exception) -> None:
        """A sweep failed; the ring has logged it."""

    def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        for origin in tuple(self._all.values()):
            origin.close()

"""A client's HTTP/1 connection: requests in, answers out, one at a time, on the ring.

The connection knows framing and keep-alive, its exchange everything else. A malformed message is answered with its status and
the connection is closed; its bytes reach no exchange.
"""

import contextlib
import enum
import socket
import ssl
from typing import Protocol

from mesh.proxy.http.form import AnswerForm
from mesh.proxy.http.socket_out import SocketOut
from mesh.proxy.settings import Timeouts
from mesh.transport.ring import READ, WRITE, Ring
from mesh.wire.fields import HeadError
from mesh.wire.head import CHUNKED, UNTIL_CLOSE
from mesh.wire.http1.body import BodyWriter, Bytes
from mesh.wire.http1.request import Body, BodyEnd, Malformed, Request, RequestEvent, RequestMemo, RequestReader
from mesh.wire.http1.write import STATUS_LINES, plain_answer

_READ_BYTES = 64 * 1024
_LINGER_S = 1.0
"""How long a client that has been sent everything may take to say that it sends no more."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Exchange(Protocol):
    """One request and its answer, as the client's connection sees it."""

    deadline_s: float
    """When the client gets a 504 (or is cut off), on the ring's clock."""

    def on_body(self, data: Bytes, *, end: bool) -> None:
        """A piece of the request's body; valid only during the call."""

    def on_body_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        """The request is complete."""

    def on_client_gone(self, reason: str) -> None:
        """The client is gone or broke the protocol: nobody waits for the answer."""

    def on_client_room(self) -> None:
        """The client takes more of the answer again."""

    def on_deadline(self) -> None:
        """`deadline_s` has passed."""

    def has_room(self) -> bool:
        """Whether to read more of the request's body; after a False the exchange calls `read_on`."""


class State(enum.Enum):
    """What the connection waits for."""

    REQUEST = enum.auto()
    ANSWER = enum.auto()
    TUNNEL = enum.auto()
    LINGER = enum.auto()
    CLOSED = enum.auto()


_READS_BODY = (State.ANSWER, State.TUNNEL)


class Keeper(Protocol):
    """Who accepted the connection."""

    timeouts: Timeouts

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""

    def begin(self, client: "ClientConnection", request: Request) -> None:
        """Start an exchange and set it on `client`, or answer at once."""

    def on_malformed(self, client: "ClientConnection", error: HeadError) -> None:
        """A message was refused."""

    def on_closed(self, client: "ClientConnection") -> None:
        """The connection is closed."""


class ClientConnection:
    """One client. Owns its socket."""

    __slots__ = (
        "_body_writer",
        "_deadline_s",
        "_fd",
        "_has_answer_end",
        "_has_request_end",
        "_is_head_request",
        "_keep_alive",
        "_keeper",
        "_out",
        "_reader",
        "_ring",
        "_sock",
        "_untaken_bytes",
        "exchange",
        "has_answer_head",
        "identity",
        "is_old",
        "state",
    )

    def __init__(
        self, ring: Ring, sock: socket.socket, memo: RequestMemo, keeper: Keeper, identity: object = None
    ) -> None:
        self._ring = ring
        self._sock = sock
        self._fd = sock.fileno()
        self._keeper = keeper
        self._reader = RequestReader(memo)
        self._out = SocketOut(ring, sock, self._on_room, self._on_broken)
        self.identity = identity
        """Who the client is, for its keeper."""
        self.exchange: Exchange | None = None
        self.state = State.REQUEST
        self.has_answer_head = False
        self.is_old = False
        self._keep_alive = True
        self._is_head_request = False
        self._has_request_end = False
        self._has_answer_end = False
        self._body_writer: BodyWriter | None = None
        self._deadline_s = ring.time_s() + keeper.timeouts.head_s
        ring.add(self._fd, self, READ)

    # -- for the exchange --

    @property
    def has_room(self) -> bool:
        """Whether the client takes more; after a False `on_client_room` comes."""
        return self._out.has_room

    def read_on(self) -> None:
        """The exchange takes more of the request's body again."""
        if self.state in _READS_BODY and not self._has_request_end:
            self._out.read_on(on=True)

    def answer_continue(self) -> None:
        """Tell the client to send its body."""
        self._out.write(_CONTINUE)

    def answer_head(self, form: AnswerForm, *, end: bool = False) -> None:
        """Write the answer's head, or an interim one; `end`: it is the whole answer."""
        lines = STATUS_LINES[form.status] + form.lines
        if form.is_interim:
            if not self.is_old:
                self._out.write(lines + b"\r\n")
            return
        self.has_answer_head = True
        length = 0 if self._is_head_request else form.length
        self._keep_alive = self._keep_alive and self._has_request_end and not self._keeper.is_draining
        if length in {CHUNKED, UNTIL_CLOSE}:
            if self.is_old:
                length = UNTIL_CLOSE
                self._keep_alive = False
            else:
                length = CHUNKED
                lines += b"transfer-encoding: chunked\r\n"
        if form.is_upgrade:
            self._open_tunnel()
        elif not self._keep_alive:
            lines += b"connection: close\r\n"
        elif self.is_old:
            lines += b"connection: keep-alive\r\n"
        self._body_writer = BodyWriter(length)
        self._out.write(lines + b"\r\n")
        if end:
            self.answer_end()

    def answer_data(self, data: Bytes, *, end: bool) -> None:
        """Write a piece of the answer's body (or of the tunnel).

        Raises:
            BodyError: it runs past the announced length, or ends before it.
        """
        if self.state is State.TUNNEL:
            self._out.write(bytes(data))
        elif self._body_writer is not None:
            self._out.write(bytes(self._body_writer.write(data)))
        if end:
            self.answer_end()

    def answer_end(self, trailers: list[tuple[bytes, bytes]] | None = None) -> None:
        """The answer is complete.

        Raises:
            BodyError: it ended before the announced length.
        """
        if self.state is State.TUNNEL:
            self._linger()
            return
        if self._body_writer is not None:
            last = self._body_writer.end(trailers)
            if last:
                self._out.write(last)
        self._has_answer_end = True
        self._finish()

    def answer_whole(self, form: AnswerForm, body: Bytes) -> None:
        """Write a whole answer: its final head and all of its body.

        Raises:
            BodyError: the body is not of the announced length.
        """
        if (
            form.length == len(body)
            and self._keep_alive
            and self._has_request_end
            and not (self.is_old or self._is_head_request or self._keeper.is_draining)
        ):
            self._out.send(form.text + body)
            self._finish()
            return
        self.answer_head(form, end=not body)
        if body:
            self.answer_data(body, end=True)

    def answer_plain(self, status: int, text: str) -> None:
        """Answer on the proxy's own account and be done with the exchange."""
        close = not self._keep_alive or not self._has_request_end or self._keeper.is_draining
        self._keep_alive = not close
        self._out.write(plain_answer(status, text, close=close, is_head=self._is_head_request))
        self.has_answer_head = True
        self._has_answer_end = True
        self._finish()

    def cut(self, reason: str) -> None:
        """Close now, whatever is under way."""
        self._lose(reason)

    def abort(self) -> None:
        """The answer cannot be finished: close, so that the client sees it cut short."""
        self.exchange = None
        self._out.flush()
        self.close()

    # -- for the ring and the sweep --

    def on_ready(self, mask: int) -> None:
        if mask & WRITE:
            self._out.flush()
            if self.state is State.LINGER and not self._out.is_ended:
                self._linger_on(self._ring.now_s)
        if mask & ~WRITE and self.state is not State.CLOSED:
            self._read()

    def on_failure(self, error: Exception) -> None:
        self._lose(f"an error of our own: {error!r}")

    def on_sweep(self, now_s: float) -> None:
        """Look at the deadlines."""
        exchange = self.exchange
        if exchange is not None:
            if exchange.deadline_s <= now_s:
                exchange.on_deadline()
        elif self._deadline_s <= now_s and self.state is not State.CLOSED:
            if self.state is State.REQUEST and not self._reader.is_idle:
                self._keeper.on_malformed(self, HeadError(408, "the request's head took too long"))
                self._out.write(plain_answer(408, "the request's head took too long", close=True))
                self._out.flush()
            if self.state is State.REQUEST:
                self._leave()
            elif self.state is State.LINGER and self._is_still_reading():
                self._linger_on(now_s)
            else:
                self.close()

    def drain(self) -> None:
        """Close when nothing is under way; else after the running answer."""
        if self.state is State.REQUEST and self._reader.is_idle:
            self._leave()
        else:
            self._keep_alive = False

    def _leave(self) -> None:
        """Close between two requests; an answer that the client has not taken yet is waited for."""
        if self._out.is_empty:
            self.close()
        else:
            self._linger()

    def _read(self) -> None:
        try:
            size = self._sock.recv_into(self._ring.view, _READ_BYTES)
        except _NOT_NOW:
            return
        except ssl.SSLZeroReturnError:
            size = 0  # how TLS says the end when our own side has ended before
        except OSError as error:
            self._lose(f"the client's connection broke: {error.strerror or error}")
            return
        if not size:
            self._on_eof()
            return
        data = self._ring.view[:size]
        if self.state is State.REQUEST:
            request = self._reader.receive_whole(bytes(data))
            if request is not None:
                self._begin(request)
                return
        elif self.state is State.LINGER:
            return
        if self.state is State.REQUEST and self._reader.is_idle:
            self._deadline_s = self._ring.now_s + self._keeper.timeouts.head_s
        if self.state is State.TUNNEL:
            self._on_tunnel(data)
            return
        self._take(self._reader.receive(data))
        self._hold_back()

    def _hold_back(self) -> None:
        """Read no further while a request that was sent ahead waits."""
        if self.state is State.ANSWER and self._reader.has_more:
            self._out.read_on(on=False)

    def _take(self, events: list[RequestEvent]) -> None:
        for event in events:
            kind = event.__class__
            if kind is Request:
                self._begin(event)  # type: ignore[arg-type]
            elif kind is Body:
                self._has_request_end = event.end  # type: ignore[union-attr]
                if self.exchange is not None:
                    self.exchange.on_body(event.data, end=event.end)  # type: ignore[union-attr]
                    if self.exchange is not None and not self.exchange.has_room():
                        self._out.read_on(on=False)
            elif kind is BodyEnd:
                self._has_request_end = True
                if self.exchange is not None:
                    self.exchange.on_body_end(event.trailers)  # type: ignore[union-attr]
            elif kind is Malformed:
                self._on_malformed(event.error)  # type: ignore[union-attr]
            if self.state is State.CLOSED:
                return

    def _begin(self, request: Request) -> None:
        head = request.known.head
        self.state = State.ANSWER
        self.has_answer_head = False
        self.is_old = request.known.is_old
        self._keep_alive = head.keep_alive
        self._is_head_request = head.method == b"HEAD"
        self._has_request_end = request.end
        self._has_answer_end = False
        self._body_writer = None
        self._keeper.begin(self, request)

    def _finish(self) -> None:
        """The answer is written: go on to the next request, or close."""
        self.exchange = None
        if not self._has_request_end or not self._keep_alive:
            self._linger()
            return
        self.state = State.REQUEST
        self._deadline_s = self._ring.now_s + self._keeper.timeouts.keep_alive_s
        if self._reader.finish_message():
            self._ring.on_turn_end(self._next)
        if not self._out.is_reading:
            self._out.read_on(on=True)

    def _next(self) -> None:
        """Take the request that was sent ahead; in the turn's end, so that a long pipeline never recurses."""
        if self.state is State.REQUEST:
            self._deadline_s = self._ring.now_s + self._keeper.timeouts.head_s
            self._take(self._reader.next_message())
            self._hold_back()

    def _open_tunnel(self) -> None:
        """From now on bytes pass as they are, those included that were sent ahead."""
        self.state = State.TUNNEL
        self._has_request_end = False
        if self._reader.has_more:
            self._ring.on_turn_end(self._pass_rest)
        self._out.read_on(on=True)

    def _pass_rest(self) -> None:
        rest = self._reader.take_rest()
        if self.exchange is not None and rest:
            self.exchange.on_body(rest, end=False)

    def _on_tunnel(self, data: memoryview) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.on_body(data, end=False)
            if self.exchange is not None and not exchange.has_room():
                self._out.read_on(on=False)

    def _on_eof(self) -> None:
        if self.state is State.TUNNEL and self.exchange is not None and not self._has_request_end:
            self._has_request_end = True
            self._out.read_on(on=False)
            self.exchange.on_body_end([])
        elif self.exchange is not None:
            self._lose("the client closed the connection")
        elif self._out.is_empty:
            self.close()
        else:
            # It sends no more, and has not read everything yet.
            self._has_request_end = True
            self._linger()
            self._out.read_on(on=False)

    def _on_malformed(self, error: HeadError) -> None:
        self._keeper.on_malformed(self, error)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone(f"the request's body is malformed: {error.reason}")
        self._keep_alive = False
        if not self.has_answer_head or self.state is State.REQUEST:
            self._out.write(plain_answer(error.status, error.reason, close=True))
        self._linger()

    def _linger(self) -> None:
        """Close after the client has had time to read the answer: it may still be sending.

        What waits for it has the time of a drain from each moment at which some of it was taken; only then the short wait begins.
        """
        self.exchange = None
        self.state = State.LINGER
        self._out.read_on(on=True)
        self._out.end(self._on_written)
        if self.state is State.LINGER:
            self._linger_on(self._ring.time_s())

    def _on_written(self) -> None:
        """Everything went out, and the client was told that no more comes."""
        if self._has_request_end and not self._reader.has_more:
            self.close()
        else:
            self._linger_on(self._ring.time_s())

    def _linger_on(self, now_s: float) -> None:
        self._untaken_bytes = self._out.untaken_bytes
        self._deadline_s = now_s + (_LINGER_S if self._out.is_ended else self._keeper.timeouts.drain_s)

    def _is_still_reading(self) -> bool:
        """Whether the client has taken some of what the kernel holds for it, which a close could destroy while it is still sending."""
        return self._out.untaken_bytes < self._untaken_bytes

    def _on_room(self) -> None:
        if self.exchange is not None:
            self.exchange.on_client_room()

    def _on_broken(self, error: OSError) -> None:
        self._lose(f"the client's connection broke: {error.strerror or error}")

    def _lose(self, reason: str) -> None:
        exchange, self.exchange = self.exchange, None
        self.close()
        if exchange is not None:
            exchange.on_client_gone(reason)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._ring.remove(self._fd)
        self._out.close()
        with contextlib.suppress(OSError):
            self._sock.close()
        self._keeper.on_closed(self)

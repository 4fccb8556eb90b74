"""A client at the far end of a trunk: one stream, with the same face towards its exchange as a client's own connection."""

from mesh.proxy.http.client import Exchange
from mesh.proxy.http.form import AnswerForm
from mesh.proxy.link import NOBODY, Link
from mesh.telemetry.metrics import Counter
from mesh.wire.fields import HeadError, validate_trailers
from mesh.wire.http1.body import Bytes
from mesh.wire.trunk_events import Headed, Stream
from mesh.wire.trunk_frames import Code, TrunkError, decode_fields, encode_fields

_TEXT_BLOCK = ((b"content-type", b"text/plain; charset=utf-8"), (b"server", b"linkspan"))


class TrunkClient:
    """The owner of one HTTP stream on the serving side."""

    __slots__ = ("_has_end", "_link", "_malformed", "_stream", "_unread_bytes", "exchange", "has_answer_head")

    def __init__(self, link: Link, stream: Stream, malformed: Counter, *, end: bool) -> None:
        self._link = link
        self._stream = stream
        self._malformed = malformed
        self._has_end = end
        self._unread_bytes = 0
        self.exchange: Exchange | None = None
        self.has_answer_head = False
        stream.owner = self

    # -- for the exchange --

    @property
    def has_room(self) -> bool:
        """Whether the stream takes more; after a False `on_client_room` comes."""
        return self._link.trunk.out.has_room(self._stream)

    def read_on(self) -> None:
        """The exchange has passed on what it got: let the peer send more."""
        if self._unread_bytes:
            size, self._unread_bytes = self._unread_bytes, 0
            self._link.consumed(self._stream, size)

    def answer_continue(self) -> None:
        """Nothing: the first hop has told the client already."""

    def answer_head(self, form: AnswerForm, *, end: bool = False) -> None:
        """Send the answer's head, or an interim one."""
        self.has_answer_head = not form.is_interim
        self._link.trunk.out.send_head(self._stream, form.status, form.block, end=end)
        self._link.touch()
        if end:
            self._finish()

    def answer_data(self, data: Bytes, *, end: bool) -> None:
        """Send a piece of the answer's body."""
        self._link.trunk.out.send_data(self._stream, data, end=end)
        self._link.touch()
        if end:
            self._finish()

    def answer_whole(self, form: AnswerForm, body: Bytes) -> None:
        """Send a whole answer: its final head and all of its body."""
        link = self._link
        link.trunk.out.send_answer(self._stream, form.status, form.block, body)
        if not link.is_dirty:
            link.touch()
        self._finish()

    def answer_end(self, trailers: list[tuple[bytes, bytes]] | None = None) -> None:
        """The answer is complete."""
        self._link.trunk.out.send_end(self._stream, encode_fields(trailers) if trailers else None)
        self._link.touch()
        self._finish()

    def answer_plain(self, status: int, text: str) -> None:
        """Answer on the proxy's own account."""
        body = f"{text}\n".encode()
        block = encode_fields((*_TEXT_BLOCK, (b"content-length", b"%d" % len(body))))
        out = self._link.trunk.out
        out.send_head(self._stream, status, block, end=False)
        out.send_data(self._stream, body, end=True)
        self._link.touch()
        self.has_answer_head = True
        self._finish()

    def abort(self, code: Code = Code.BROKEN) -> None:
        """The answer cannot be finished, or not begun: reset the stream."""
        self.exchange = None
        self._link.reset(self._stream, code)

    def _finish(self) -> None:
        """The answer is out; a request that still goes on is not wanted any more."""
        self.exchange = None
        if not self._has_end:
            self._link.reset(self._stream, Code.CANCELLED)
        else:
            self._stream.owner = NOBODY

    # -- for the link --

    def on_head(self, event: Headed) -> None:
        """Cannot come: the trunk refuses heads from a dialler."""

    def on_data(self, data: Bytes, *, end: bool) -> None:
        self._has_end = end
        self._unread_bytes += len(data)
        exchange = self.exchange
        if exchange is None:
            self.read_on()
            return
        exchange.on_body(data, end=end)
        if self.exchange is None or exchange.has_room():
            self.read_on()

    def on_end(self, block: bytes) -> None:
        self._has_end = True
        exchange = self.exchange
        if exchange is None:
            return
        try:
            trailers = validate_trailers(decode_fields(block)) if block else []
        except (HeadError, TrunkError):
            self._malformed.value += 1
            self.abort(Code.PROTOCOL)
            exchange.on_client_gone("the request's trailers are malformed")
            return
        exchange.on_body_end(trailers)

    def on_reset(self, code: int) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.on_client_gone(f"the caller reset the stream ({code})")

    def on_room(self) -> None:
        if self.exchange is not None:
            self.exchange.on_client_room()

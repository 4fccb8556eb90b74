"""One HTTP/1.1 connection as a client, on h11 over any trio stream: one request at a time, answers bounded.

It never follows redirects, decompresses or guesses: what the other side sends beyond the bounds ends the connection.
"""

from collections.abc import Iterable

import h11
import msgspec
import trio

from mesh.sync.link.errors import BadAnswerError, UnusableRequestError

MAX_HEAD_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024

Headers = Iterable[tuple[str, str]]


class ConnectionBrokenError(Exception):
    """The connection ended before the answer was whole. `answered`: its first byte had arrived."""

    def __init__(self, text: str, *, answered: bool) -> None:
        super().__init__(text)
        self.answered = answered


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer, read whole. Header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that (lower-case) name, or the empty text."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def first_line(self) -> str:
        """The first line of the body as printable text, for error messages."""
        lines = self.body[:600].decode("utf-8", "replace").strip().splitlines()
        return "".join(char if char.isprintable() else "?" for char in lines[0])[:300] if lines else ""


class HttpConnection:
    """A keep-alive client connection over `stream`; `host` goes into every request's Host header."""

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: the last exchange ended cleanly and the other side did not speak since."""
        return self._http.our_state is h11.IDLE and not _has_news(self._stream)

    async def exchange(
        self, method: str, target: str, headers: Headers = (), body: bytes = b"", *, max_body_bytes: int
    ) -> HttpAnswer:
        """Send one request and read its answer.

        Raises:
            UnusableRequestError: method, target or a header cannot be sent.
            ConnectionBrokenError: the connection ended first.
            BadAnswerError: the answer is no HTTP/1.1 or larger than `max_body_bytes`.
        """
        content = self._encode(method, target, headers, body)
        try:
            await self._stream.send_all(content)
        except trio.ClosedResourceError as error:
            raise ConnectionBrokenError("the connection is closed", answered=False) from error
        except trio.BrokenResourceError:
            pass  # the other side may have answered before it closed (413, 503): read that
        answer = await self._read(max_body_bytes)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def aclose(self) -> None:
        """Close the stream."""
        await trio.aclose_forcefully(self._stream)

    def _encode(self, method: str, target: str, headers: Headers, body: bytes) -> bytes:
        fields = [("host", self._host), ("user-agent", "linkspan"), ("content-length", str(len(body))), *headers]
        try:
            request = h11.Request(method=method.encode("ascii"), target=target.encode("ascii"), headers=fields)
            parts = [self._http.send(request)]
            if body:
                parts.append(self._http.send(h11.Data(data=body)))
            parts.append(self._http.send(h11.EndOfMessage()))
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise UnusableRequestError(f"the request cannot be sent: {error}") from error
        return b"".join(part for part in parts if part)

    async def _read(self, max_body_bytes: int) -> HttpAnswer:
        response: h11.Response | None = None
        body = bytearray()
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._http.trailing_data[1]:
                    raise ConnectionBrokenError(
                        "the connection ended before the answer was whole", answered=response is not None
                    ) from error
                raise BadAnswerError(f"the answer is not valid HTTP: {error}") from error
            if event is h11.NEED_DATA:
                await self._receive(answered=response is not None)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > max_body_bytes:
                    raise BadAnswerError(f"the answer is larger than {max_body_bytes} bytes")
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
                return HttpAnswer(response.status_code, headers, bytes(body))
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionBrokenError("the connection was closed without an answer", answered=False)

    async def _receive(self, *, answered: bool) -> None:
        try:
            self._http.receive_data(bytes(await self._stream.receive_some(_READ_BYTES)))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionBrokenError(
                f"the connection broke: {error.__cause__ or error}", answered=answered
            ) from error


def _has_news(stream: trio.abc.Stream) -> bool:
    """Whether an idle connection has something to read: with nothing asked that can only be its end."""
    if isinstance(stream, trio.SSLStream):
        return _has_news(stream.transport_stream)
    return isinstance(stream, trio.SocketStream) and stream.socket.is_readable()

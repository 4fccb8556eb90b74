"""An HTTP/1.1 server for tests, on h11 over any trio stream: it answers from a function and keeps what it was asked.

It must never be imported by anything but tests.
"""

from collections.abc import Awaitable, Callable

import h11
import msgspec
import trio


class Asked(msgspec.Struct, frozen=True):
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, bytes]
Handler = Callable[[Asked], Awaitable[Answer]]


async def serve_http(stream: trio.abc.Stream, handler: Handler, *, max_requests: int = 10**9) -> None:
    """Serve one connection until its client closes it, or until `max_requests` were answered."""
    http = h11.Connection(h11.SERVER)
    async with stream:
        for _ in range(max_requests):
            asked = await _read(stream, http)
            if asked is None:
                return
            status, body = await handler(asked)
            headers = [("content-length", str(len(body))), ("content-type", "application/json")]
            parts = [http.send(h11.Response(status_code=status, headers=headers))]
            parts += [http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
            try:
                await stream.send_all(b"".join(part for part in parts if part))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if http.our_state is not h11.DONE:
                return
            http.start_next_cycle()


async def _read(stream: trio.abc.Stream, http: h11.Connection) -> Asked | None:
    request: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            try:
                http.receive_data(await stream.receive_some())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            headers = {name.decode(): value.decode() for name, value in request.headers}
            return Asked(request.method.decode(), request.target.decode(), headers, body)
        else:
            return None


class MemoryDialler:
    """A dialler whose every connection is served in memory by `handler`; `up = False` refuses."""

    host = "memory"
    generation = 0

    def __init__(
        self, nursery: trio.Nursery, handler: Handler, name: str = "memory", max_requests: int = 10**9
    ) -> None:
        self.name = name
        self.up = True
        self.dialled = 0
        self.streams: list[trio.abc.Stream] = []
        self._nursery = nursery
        self._handler = handler
        self._max_requests = max_requests

    async def dial(self) -> trio.abc.Stream:
        """A new connection, or `UnreachableError` while it is down."""
        from mesh.sync.link.errors import UnreachableError

        await trio.lowlevel.checkpoint()
        if not self.up:
            raise UnreachableError(f"{self.name}: connection refused")
        self.dialled += 1
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        await serve_http(stream, self._handler, max_requests=self._max_requests)

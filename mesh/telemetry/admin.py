"""The admin HTTP of a proxy or gateway: a few pages made on demand, for the host's operator and for Prometheus.

GET and HEAD only, on h11 over trio, everything bounded. On loopback it answers to loopback's names alone.
It must never show a key or a token, nor change anything.
"""

import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_address

import h11
import msgspec
import trio

from mesh.wire.http1.host import HostRule

MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 16 * 1024
REQUEST_TIMEOUT_S = 10.0
_READ_BYTES = 4096

_log = logging.getLogger("linkspan.admin")


class Page(msgspec.Struct, frozen=True):
    """One answer."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]
"""What is served, by path. The callables are quick and do not await."""


async def serve_admin(
    address: str,
    port: int,
    pages: Pages,
    hosts: HostRule = HostRule(),  # noqa: B008 - a frozen value
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `pages` until cancelled; `task_status` gets the port. On loopback only to who calls it by one of `hosts`.

    Raises:
        OSError: the address cannot be listened on.
    """
    room = trio.Semaphore(MAX_CONNECTIONS)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                room.acquire_nowait()
            except trio.WouldBlock:
                return
            try:
                await _converse(stream, guarded)
            finally:
                room.release()

    listeners = await trio.open_tcp_listeners(port, host=address)
    is_local = all(ip_address(listener.socket.getsockname()[0]).is_loopback for listener in listeners)
    guarded = _Guarded(pages, hosts if is_local else None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


class _Guarded(msgspec.Struct, frozen=True):
    """The pages of a port, and the names that it answers to; None: any."""

    pages: Pages
    hosts: HostRule | None


async def _converse(stream: trio.abc.Stream, pages: _Guarded) -> None:
    """Answer requests on one connection until either side has enough. Survives whatever the client does."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        while True:
            with trio.fail_after(REQUEST_TIMEOUT_S):
                request = await _read_request(stream, http)
                if request is None:
                    return
                await stream.send_all(_answer(http, request, pages))
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()
    except (trio.BrokenResourceError, trio.TooSlowError):
        return
    except h11.RemoteProtocolError as error:
        if http.our_state is h11.IDLE:
            with trio.move_on_after(1):
                await stream.send_all(_encode(http, Page(b"bad request\n", error.error_status_hint), b"GET"))


async def _read_request(stream: trio.abc.Stream, http: h11.Connection) -> h11.Request | None:
    """The next request, its body (if any) left unread; None at the end of the connection."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            if http.next_event() is h11.NEED_DATA:
                return event  # a body is announced: it is not read, and the connection ends after the answer
            return event
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
        else:
            return None


def _answer(http: h11.Connection, request: h11.Request, guarded: _Guarded) -> bytes:
    path = request.target.partition(b"?")[0].decode("latin-1")
    pages, make = guarded.pages, guarded.pages.get(path)
    refusal = guarded.hosts.refusal(request.headers) if guarded.hosts is not None else ""
    if refusal:
        page = Page(f"{refusal}\n".encode(), 403)
    elif request.method not in {b"GET", b"HEAD"}:
        page = Page(b"only GET and HEAD are served here\n", 405)
    elif make is None:
        page = Page(b"there is no such page; there are: " + " ".join(sorted(pages)).encode() + b"\n", 404)
    else:
        try:
            page = make()
        except Exception as error:  # noqa: BLE001 - a page that fails must not take the proxy down: it is logged and answered with 500
            _log.error("the page %s failed: %r", path, error, exc_info=error)
            page = Page(b"this page failed; the log says why\n", 500)
    return _encode(http, page, request.method)


def _encode(http: h11.Connection, page: Page, method: bytes) -> bytes:
    headers = [
        ("content-type", page.content_type),
        ("content-length", str(len(page.body))),
        ("cache-control", "no-store"),
    ]
    parts = [http.send(h11.Response(status_code=page.status, headers=headers))]
    if method != b"HEAD":
        parts.append(http.send(h11.Data(data=page.body)))
    parts.append(http.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)

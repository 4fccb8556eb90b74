"""The HTTP probe: one request on a fresh connection, redirects followed, answer read as far as it is kept.

On h11 rather than a client library: the answer's body is of any size and must be left unread beyond its bound.
"""

import ssl
from urllib.parse import SplitResult, urljoin, urlsplit

import h11
import msgspec
import trio

from agents.vm.definition.values import HttpProbe

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_READ_BYTES = 16 * 1024
_MAX_HEAD_BYTES = 64 * 1024


class ProbeFailedError(Exception):
    """The probed side did not answer as HTTP; the text says how."""


class HttpResult(msgspec.Struct, frozen=True):
    """The final answer: its status, its reason phrase and the beginning of its body."""

    status: int
    reason: str
    body: str


def tls_context(*, skip_verify: bool) -> ssl.SSLContext:
    """A client's context with the system's roots, or one that believes anybody."""
    context = ssl.create_default_context()
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def ask(probe: HttpProbe, body_max_bytes: int) -> HttpResult:
    """Send the probe's request and follow its redirects.

    Raises:
        ProbeFailedError: no HTTP answer, or too many redirects.
        OSError, trio.BrokenResourceError: the connection could not be made or broke.
    """
    url, method = probe.url, probe.method
    for _ in range(MAX_REDIRECTS + 1):
        result, location = await _exchange(probe, url, method, body_max_bytes)
        if result.status not in _REDIRECTS or not location or not probe.follow_redirects:
            return result
        url = urljoin(url, location)
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ProbeFailedError(f"redirected to {url[:120]!r}, which is no URL")
        method = "GET" if result.status < 307 and method != "HEAD" else method
    raise ProbeFailedError(f"more than {MAX_REDIRECTS} redirects")


async def _exchange(probe: HttpProbe, url: str, method: str, body_max_bytes: int) -> tuple[HttpResult, str]:
    where = urlsplit(url)
    stream = await _connect(probe, where)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        await stream.send_all(_request(connection, probe, where, method))
        return await read_answer(connection, stream, body_max_bytes)
    except (h11.LocalProtocolError, h11.RemoteProtocolError) as error:
        raise ProbeFailedError(f"no valid HTTP: {error}") from error
    finally:
        await trio.aclose_forcefully(stream)


async def _connect(probe: HttpProbe, where: SplitResult) -> trio.abc.Stream:
    assert where.hostname is not None
    is_tls = where.scheme == "https"
    stream = await trio.open_tcp_stream(where.hostname, where.port or (443 if is_tls else 80))
    if not is_tls:
        return stream
    tls = trio.SSLStream(
        stream,
        tls_context(skip_verify=probe.tls_skip_verify),
        server_hostname=probe.tls_server_name or where.hostname,
        https_compatible=True,
    )
    try:
        await tls.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(tls)
        raise
    return tls


def _request(connection: h11.Connection, probe: HttpProbe, where: SplitResult, method: str) -> bytes:
    body = probe.body.encode() if method == probe.method else b""
    fields = {
        "host": where.netloc.rpartition("@")[2],
        "user-agent": "Linkspan Health Check",
        "accept": "text/plain, text/*, */*",
        "connection": "close",
    }
    if body or method in {"POST", "PUT", "PATCH"}:
        fields["content-length"] = str(len(body))
    given = {name.lower() for name, _ in probe.headers}
    headers = [(name, value) for name, value in fields.items() if name not in given]
    target = (where.path or "/") + (f"?{where.query}" if where.query else "")
    request = h11.Request(method=method.encode(), target=target.encode(), headers=[*headers, *probe.headers])
    parts = [
        connection.send(request),
        connection.send(h11.Data(data=body)) if body else b"",
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in parts if part)


async def read_answer(connection: h11.Connection, stream: trio.abc.Stream, limit_bytes: int) -> tuple[HttpResult, str]:
    """The answer, read as far as its body is kept, and where it redirects to.

    Raises:
        ProbeFailedError, h11.RemoteProtocolError: it is no HTTP answer.
    """
    head: h11.Response | None = None
    body = bytearray()
    while len(body) < limit_bytes:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    if head is None:
        raise ProbeFailedError("the connection was closed without an answer")
    location = next((value.decode("latin-1") for name, value in head.headers if name == b"location"), "")
    text = bytes(body[:limit_bytes]).decode("utf-8", "replace")
    return HttpResult(head.status_code, head.reason.decode("latin-1"), text), location

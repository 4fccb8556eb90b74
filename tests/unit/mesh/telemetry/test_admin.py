"""The admin pages, over loopback."""

import pytest
import trio

from mesh.telemetry.admin import MAX_CONNECTIONS, MAX_HEAD_BYTES, Page, serve_admin
from mesh.wire.http1.host import host_rule


def broken() -> Page:
    """A page that fails."""
    raise ValueError("secret detail")


PAGES = {
    "/ready": lambda: Page(b"not ready: soon\n", 503),
    "/metrics": lambda: Page(b"a 1\n", content_type="text/x"),
    "/broken": broken,
}


async def talk(port: int, *pieces: bytes) -> bytes:
    """Everything that the server answers until it closes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for piece in pieces:
            await stream.send_all(piece)
        await stream.send_eof()
        return b"".join([chunk async for chunk in stream])


@pytest.fixture
async def port(nursery: trio.Nursery) -> int:
    """The port of a running server."""
    found: int = await nursery.start(serve_admin, "127.0.0.1", 0, PAGES)
    return found


GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_pages_are_served_one_after_the_other(port: int):
    """Status, type and body; the connection is kept; a query is ignored; HEAD has no body."""
    answer = await talk(
        port, GET % b"/metrics?x=1", GET % b"/ready", b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    first, second, third = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert b"text/x" in first
    assert first.endswith(b"\r\n\r\na 1\n")
    assert second.startswith(b"503")
    assert second.endswith(b"not ready: soon\n")
    assert third.startswith(b"200")
    assert b"content-length: 4" in third
    assert third.endswith(b"\r\n\r\n")


async def test_a_page_of_another_name_reaches_nothing(port: int, nursery: trio.Nursery) -> None:
    """On loopback only its own names and those that were allowed; on an address that others reach, whatever theirs are."""
    answer = await talk(port, b"GET /ready HTTP/1.1\r\nHost: evil.example:19000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"--allowed-host evil.example\n" in answer
    allowed = await nursery.start(serve_admin, "127.0.0.1", 0, PAGES, host_rule(["web.test"]))
    assert (await talk(allowed, b"GET /metrics HTTP/1.1\r\nHost: web.test:1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    everywhere = await nursery.start(serve_admin, "0.0.0.0", 0, PAGES)
    assert (await talk(everywhere, b"GET /metrics HTTP/1.1\r\nHost: any\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (GET % b"/other", b"404"),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /" + b"x" * (MAX_HEAD_BYTES - 4), b"431"),
        (GET % b"/broken", b"500"),
    ],
)
async def test_everything_else_is_refused(port: int, content: bytes, status: bytes, caplog: pytest.LogCaptureFixture):
    """Unknown pages, other methods, malformed and oversized requests, pages that fail: an answer, no detail, and the server lives."""
    answer = await talk(port, content)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"secret" not in answer
    assert (await talk(port, GET % b"/metrics")).endswith(b"a 1\n")
    caplog.clear()


async def test_a_hang_up_is_survived(port: int):
    """Half a request and nothing more ends that connection alone."""
    assert (await talk(port, b"GET / HT")).startswith(b"HTTP/1.1 400")
    assert await talk(port) == b""


async def test_connections_are_bounded(port: int):
    """More than the bound are closed unheard."""
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
    await trio.testing.wait_all_tasks_blocked(0.01)
    async with await trio.open_tcp_stream("127.0.0.1", port) as one_more:
        assert await one_more.receive_some() == b""
    for stream in streams:
        await stream.aclose()


async def test_silence_ends_a_connection(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """Whoever says nothing for long is closed."""
    from mesh.telemetry.admin import _converse

    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        await _converse(theirs, PAGES)
        await theirs.aclose()

    nursery.start_soon(serve)
    assert await ours.receive_some() == b""
    assert autojump_clock.current_time() >= 10

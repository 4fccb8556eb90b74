"""A catalog in the same process, called without a socket."""

from typing import Any

import pytest
import trio
import trio.testing

from agents.vm.api.forward import CatalogAwayError
from agents.vm.api.inside import AppUpstream


async def test_a_call_arrives_whole_and_so_does_its_answer() -> None:
    """Method, path, query, headers and body; status, headers and all parts of a body."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["method"], scope["path"], scope["query_string"], scope["headers"], await receive()))
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": b"ma", "more_body": True})
        await send({"type": "http.response.body", "body": b"de"})

    passed = await AppUpstream(app)("PUT", "/v1/a%20b?c=d", (("x-consul-token", "t"),), b"x")
    assert (passed.status, passed.headers, passed.body) == (201, (("x-a", "1"),), b"made")
    headers = [(b"x-consul-token", b"t"), (b"content-length", b"1")]
    body = {"type": "http.request", "body": b"x", "more_body": False}
    assert seen == [("PUT", "/v1/a b", b"c=d", headers, body)]


async def test_a_long_poll_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    """Who watches for a hang-up after the body waits, and does not spin."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with trio.move_on_after(300):
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert (await AppUpstream(app)("GET", "/", (), b"")).body == b""
    assert trio.current_time() == pytest.approx(autojump_clock.current_time())


async def test_no_answer_is_an_error() -> None:
    """Of the catalog."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(CatalogAwayError):
        await AppUpstream(app)("GET", "/dumb", (), b"")

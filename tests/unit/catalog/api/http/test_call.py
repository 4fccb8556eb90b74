"""Reading a request: tokens, headers, and bodies within bounds of size and time."""

from typing import Any

import pytest
import trio

from catalog.api.http.call import BODY_TIMEOUT_S, DRAIN_BYTES, find_token, read_body, read_headers
from catalog.api.http.errors import BodyTooLargeError, RequestTimeoutError


@pytest.mark.parametrize(
    ("headers", "query", "token"),
    [
        ({}, "", ""),
        ({"x-consul-token": "a", "authorization": "Bearer b"}, "q", "q"),
        ({"x-consul-token": "a", "authorization": "Bearer b"}, "", "a"),
        ({"authorization": "Bearer b"}, "", "b"),
        ({"authorization": "bearer  b "}, "", "b"),
        ({"authorization": "Basic b"}, "", ""),
        ({"authorization": "Bearer"}, "", ""),
    ],
)
def test_a_token_is_found_in_consuls_order(headers: dict[str, str], query: str, token: str) -> None:
    assert find_token(headers, query) == token


def test_the_first_of_a_repeated_header_counts() -> None:
    scope = {"headers": [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]}
    assert read_headers(scope) == {"x-a": "1", "x-b": "2"}


class Body:
    """A body in parts, with a pause before each; and a count of what was read."""

    def __init__(self, *parts: bytes, pause_s: float = 0.0) -> None:
        self._parts = list(parts)
        self._pause_s = pause_s
        self.read = 0

    async def receive(self) -> dict[str, Any]:
        await trio.sleep(self._pause_s)
        part = self._parts.pop(0)
        self.read += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}


async def test_parts_are_joined() -> None:
    assert await read_body(Body(b"ab", b"", b"c").receive, {}, 3) == b"abc"


async def test_a_body_over_its_bound_is_read_to_its_end_and_refused() -> None:
    """So that its sender reads the answer; but not without end."""
    body = Body(*[b"x" * 1000] * 20)
    with pytest.raises(BodyTooLargeError, match="at most 5000 bytes"):
        await read_body(body.receive, {}, 5000)
    assert body.read == 20_000
    endless = Body(*[b"x" * 1_000_000] * 100)
    with pytest.raises(BodyTooLargeError):
        await read_body(endless.receive, {}, 5000)
    assert endless.read < DRAIN_BYTES + 2_000_000


async def test_a_body_that_does_not_come_is_not_waited_for(autojump_clock: Any) -> None:
    body = Body(b"x", b"y", b"z", pause_s=BODY_TIMEOUT_S * 0.6)
    with pytest.raises(RequestTimeoutError, match="1 of 3 bytes"):
        await read_body(body.receive, {"content-length": "3"}, 5000)

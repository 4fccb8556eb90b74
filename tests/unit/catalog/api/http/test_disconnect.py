"""The disconnect wrapper: a hung-up request leaves nothing, and nothing is swallowed."""

from typing import Any

import pytest
import trio

from catalog.api.http.disconnect import CancelOnDisconnect, Message


class Client:
    """Plays the server's side of ASGI: a scripted body, then a hang-up when told."""

    def __init__(self, *body: bytes) -> None:
        parts = body or (b"",)
        self._messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": position < len(parts) - 1}
            for position, part in enumerate(parts)
        ]
        self.hung_up = trio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_a_hang_up_cancels_the_handler(autojump_clock: Any) -> None:
    """A blocking query whose client is gone ends at once, not when its wait does."""
    ended = trio.Event()

    async def handler(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await trio.sleep(600)
        finally:
            ended.set()

    client = Client()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CancelOnDisconnect(handler), {"type": "http"}, client.receive, client.send)
        await trio.sleep(1)
        client.hung_up.set()
        await ended.wait()
    assert trio.current_time() < 601


async def test_the_body_arrives_whole_and_then_nothing(autojump_clock: Any) -> None:
    """The app sees every message of the body in order; after that `receive` waits."""
    seen: list[Message] = []
    after: list[Message] = []

    async def handler(_scope: Any, receive: Any, send: Any) -> None:
        while not seen or seen[-1]["more_body"]:
            seen.append(await receive())
        with trio.move_on_after(5):
            after.append(await receive())
        await send({"type": "http.response.start", "status": 200})

    client = Client(b"a", b"b", b"c", b"d", b"e")
    await CancelOnDisconnect(handler)({"type": "http"}, client.receive, client.send)
    assert b"".join(message["body"] for message in seen) == b"abcde"
    assert after == []
    assert client.sent == [{"type": "http.response.start", "status": 200}]


async def test_a_handlers_exception_is_raised_as_it_is() -> None:
    """No exception group, no silence."""

    async def handler(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError("mine")

    client = Client()
    with pytest.raises(LookupError, match="mine"):
        await CancelOnDisconnect(handler)({"type": "http"}, client.receive, client.send)


async def test_other_scopes_pass_through() -> None:
    called = []

    async def handler(scope: Any, _receive: Any, _send: Any) -> None:
        called.append(scope["type"])

    client = Client()
    await CancelOnDisconnect(handler)({"type": "lifespan"}, client.receive, client.send)
    assert called == ["lifespan"]

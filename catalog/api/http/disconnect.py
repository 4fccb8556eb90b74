"""The wrapper that ends a request's work when its caller hangs up.

ASGI servers go on running a handler after the client is gone; for a blocking query that would hold a task, a file
descriptor and memory for up to ten minutes. This cancels the handler at `http.disconnect`. It wraps every HTTP
request and must never swallow a handler's exception.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import trio

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class CancelOnDisconnect:
    """Runs `app` and cancels it when the client disconnects before it is done.

    The body's messages go to the app when it asks; at most two are held here, so that an unread body exerts
    back-pressure on its sender.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            line = _Line(receive)
            nursery.start_soon(line.watch, nursery.cancel_scope)
            try:
                await self._app(scope, line.receive, send)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery's exception group
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


class _Line:
    """The request's messages: the watcher reads ahead by at most two, the app gets them in order."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        # Room for one: the single empty message of a request without a body must never hold the watcher up.
        self._send_one, self._take_one = trio.open_memory_channel[Message](1)
        self._complete = False

    async def watch(self, cancel_scope: trio.CancelScope) -> None:
        """Pass messages on until the client hangs up; then cancel the app."""
        complete = False
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                cancel_scope.cancel()
                return
            if not complete:
                complete = not message.get("more_body", False)
                # While an app leaves a long body unread this blocks, and a hang-up is not seen: endpoints read
                # theirs first, within bounds of size and time.
                await self._send_one.send(message)

    async def receive(self) -> Message:
        """The app's side: the next message of the body; after the last one, nothing until the client hangs up."""
        if self._complete:
            await trio.sleep_forever()
        message = await self._take_one.receive()
        self._complete = not message.get("more_body", False)
        return message

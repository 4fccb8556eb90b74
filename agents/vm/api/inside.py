"""The way to a catalog in this same process: an ASGI app called without a socket, long polls among them.

Same rules as over a socket: what it is called with is all it knows of its caller.
"""

from typing import Any
from urllib.parse import unquote

import trio

from agents.vm.api.call import App
from agents.vm.api.forward import CatalogAwayError, Headers, Passed


class AppUpstream:
    """Calls an ASGI app (`agents.vm.api.forward.Upstream`)."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        """The app's answer.

        Raises:
            CatalogAwayError: it gave none.
        """
        path, _, query = target.partition("?")
        fields = [*headers, ("content-length", str(len(body)))]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
            "client": None,
            "state": {},
        }
        messages: list[Any] = []
        bodies = [body]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await trio.sleep_forever()  # the caller stays until it is answered or cancelled
            await trio.lowlevel.checkpoint()
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            messages.append(message)

        await self._app(scope, receive, send)
        if not messages:
            raise CatalogAwayError(f"{method} {path}: no answer")
        shown = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in messages[0]["headers"])
        return Passed(messages[0]["status"], shown, b"".join(message.get("body", b"") for message in messages[1:]))

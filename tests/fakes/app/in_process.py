"""The catalog's whole HTTP app in this process, without a socket: for virtual time, restarts, and many requests.

It must never be imported by anything but tests.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import msgspec
import trio

from catalog.access.acl.settings import EVERYONE
from catalog.api.api import Api
from catalog.api.app import application, routes
from catalog.api.http.connection import STATE_KEY, Connection
from catalog.authority.authority import Authority
from catalog.authority.signer import make_root
from catalog.engine import Catalog
from catalog.server.assembly import own_registration
from catalog.store import Store
from catalog.store.memory import MemoryStore

_ROOT = make_root("test.consul", time.time())
_LOOPBACK = {STATE_KEY: Connection(loopback=True)}
START_S = 1_000_000_000.0


class AppAnswer(msgspec.Struct, frozen=True):
    """What the app answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def index(self) -> int:
        """`X-Consul-Index`."""
        return int(self.headers["x-consul-index"])

    def json(self) -> Any:
        """The body's value."""
        return msgspec.json.decode(self.body)


class CatalogApp:
    """Requests to the app of an `Api` in dev mode."""

    def __init__(self, api: Api, engine: Catalog) -> None:
        self.api = api
        self.engine = engine
        self._app = application(routes(api))

    async def get(self, target: str) -> AppAnswer:
        return await self.request("GET", target)

    async def put(self, target: str, body: Any = b"") -> AppAnswer:
        return await self.request("PUT", target, body)

    async def request(self, method: str, target: str, body: Any = b"") -> AppAnswer:
        """One request; `body` is JSON unless it is bytes already."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [(b"content-length", b"%d" % len(raw))],
            "root_path": "",
            "state": dict(_LOOPBACK),
        }
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await trio.sleep_forever()
            return None

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]
        start, end = sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return AppAnswer(start["status"], headers, end["body"])


@asynccontextmanager
async def open_app(store: Store | None = None) -> AsyncIterator[CatalogApp]:
    """The app over an engine that runs on the test's clock, with the catalog's own node; `store` outlives it."""
    engine = await Catalog.open(store or MemoryStore(), epoch=lambda: START_S + trio.current_time())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        await engine.submit(own_registration("server", "127.0.0.1", "dc1"))
        yield CatalogApp(Api(engine, Authority(_ROOT, "dc1"), node="server", acl=EVERYONE), engine)
        nursery.cancel_scope.cancel()


async def woken(app: CatalogApp, path: str, act: Callable[[], Awaitable[Any]]) -> int | None:
    """Block on `path`, act, and return the index of the answer; None if the query slept on. For a clock that jumps."""
    index, joint = (await app.get(path)).index, "&" if "?" in path else "?"
    answers: list[int] = []

    async def block() -> None:
        answers.append((await app.get(f"{path}{joint}index={index}&wait=60s")).index)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(block)
        await trio.sleep(1)
        assert not answers, "it did not block"
        await act()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return answers[0] if answers else None

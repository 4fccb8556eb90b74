"""A catalog on a real loopback socket, and a plain HTTP client beside it: what every conformance table runs against."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
import trio

from catalog.api.api import Api
from catalog.api.app import application, routes
from catalog.api.http.serve import Server, listen_plain
from catalog.authority.authority import Authority
from catalog.authority.signer import make_root
from catalog.engine import Catalog
from catalog.store.memory import MemoryStore


class Site:
    """The running catalog as a test sees it."""

    def __init__(self, api: Api, server: Server, address: str, client: httpx2.AsyncClient) -> None:
        self.api = api
        self.server = server
        self.address = address
        self.client = client

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def request(self, method: str, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        """One request; `body` is JSON unless it is bytes already."""
        content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        return await self.client.request(method, path, content=content, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", path, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        return await self.request("PUT", path, body, **options)

    async def register(self, node: str, **fields: Any) -> None:
        """Register a node with an address of its own."""
        answer = await self.put("/v1/catalog/register", {"Node": node, "Address": "192.0.2.1", **fields})
        assert (answer.status_code, answer.text) == (200, "true"), answer.text

    async def index_of(self, path: str) -> int:
        """The index that a read answers with now."""
        return int((await self.get(path)).headers["X-Consul-Index"])


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """An open catalog (as in `linkspan dev`) with nothing in it."""
    engine = await Catalog.open(MemoryStore())
    api = Api(engine, Authority(make_root("test.consul", time.time()), "dc1"), everyone_operates=True)
    listener = listen_plain("127.0.0.1:0")
    server = Server(application(routes(api)), [listener])
    stop = trio.Event()
    address = listener.address
    async with trio.open_nursery() as nursery, httpx2.AsyncClient(base_url=f"http://{address}", timeout=10) as client:
        await nursery.start(engine.run)
        nursery.start_soon(server.run, stop)
        yield Site(api, server, address, client)
        await client.aclose()
        stop.set()
        nursery.cancel_scope.cancel()
